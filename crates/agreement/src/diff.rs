//! What a new version of an agreement changes.

use std::collections::BTreeMap;
use std::fmt;

use crate::agreement::{Agreement, Image, Root};
use crate::analysis::{Analysis, Authorize};
use crate::dataset::{Dataset, Padding, Presence};
use crate::sentences::{flatten, simulated, sources};
use crate::table::Table;

/// What a new version of an agreement lets somebody learn that the old one did not, and everything else that changed.
///
/// In doubt a change is among the first: a program or a parameter that changed may put anything into a result. The
/// old agreement stays runnable until its end, whatever the new one says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    learns: Vec<String>,
    others: Vec<String>,
}

impl Changes {
    /// Sentences, each about something that somebody may learn now and could not before.
    #[must_use]
    pub fn learns(&self) -> &[String] {
        &self.learns
    }

    /// Sentences about everything else that changed.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.learns.is_empty() {
            writeln!(f, "Nobody learns anything that the old agreement did not let them learn.")?;
        } else {
            writeln!(f, "What somebody may learn now and could not before")?;
        }
        for sentence in &self.learns {
            writeln!(f, "  {sentence}")?;
        }
        writeln!(f)?;
        writeln!(f, "What else changed")?;
        for sentence in &self.others {
            writeln!(f, "  {sentence}")?;
        }
        Ok(())
    }
}

/// Compares two agreements; parties, images, datasets and analyses are matched by their names.
#[must_use]
pub fn diff(old: &Agreement, new: &Agreement) -> Changes {
    let mut changes = Changes { learns: Vec::new(), others: Vec::new() };
    root(&mut changes, old, new);
    window(&mut changes, old, new);
    parties(&mut changes, old, new);
    datasets(&mut changes, old, new);
    images(&mut changes, old, new);
    for analysis in new.analyses() {
        match old.analysis(analysis.name()) {
            Some(before) => compare(&mut changes, old, new, before, analysis),
            None => added(&mut changes, new, analysis),
        }
    }
    for analysis in old.analyses().iter().filter(|analysis| new.analysis(analysis.name()).is_none()) {
        changes.other(format!("The analysis `{}` is gone.", analysis.name()));
    }
    identity(&mut changes, old, new);
    changes
}

impl Changes {
    fn learn(&mut self, sentence: impl Into<String>) {
        self.learns.push(sentence.into());
    }

    fn other(&mut self, sentence: impl Into<String>) {
        self.others.push(sentence.into());
    }
}

fn root(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    if old.root() == new.root() {
        return;
    }
    match new.root() {
        Root::AwsNitro => {
            changes.other("Enclaves must be attested by AWS Nitro now, no longer by a test CA.");
        }
        Root::Simulated { .. } => {
            if let Some(warning) = simulated(new.root()) {
                changes.learn(warning);
            }
        }
    }
}

fn window(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    let (before, after) = (old.window(), new.window());
    if after.not_before() < before.not_before() {
        changes.learn(format!(
            "Runs may start from {} on, no longer only from {}.",
            after.not_before(),
            before.not_before()
        ));
    } else if after.not_before() > before.not_before() {
        changes.other(format!(
            "Runs may start from {} on; before: {}.",
            after.not_before(),
            before.not_before()
        ));
    }
    if after.not_after() > before.not_after() {
        changes.learn(format!(
            "Runs may start until {}, no longer only until {}.",
            after.not_after(),
            before.not_after()
        ));
    } else if after.not_after() < before.not_after() {
        changes.other(format!("Runs end at {}; before: {}.", after.not_after(), before.not_after()));
    }
}

fn parties(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    for party in new.parties() {
        let name = party.name();
        let Some(before) = old.party(name) else {
            changes.other(format!(
                "{name} is a new party; compare its key {} by another road.",
                party.sign_key().fingerprint()
            ));
            continue;
        };
        if before.sign_key() != party.sign_key() {
            changes.other(format!(
                "{name} signs with another key, {}; compare it by another road. Before: {}.",
                party.sign_key().fingerprint(),
                before.sign_key().fingerprint()
            ));
        }
        if before.result_key() != party.result_key() {
            changes.learn(format!(
                "The results of {name} are sealed to another key, {}: who holds it reads them.",
                party.result_key()
            ));
        }
    }
    for party in old.parties().iter().filter(|party| new.party(party.name()).is_none()) {
        changes.other(format!("{} is no party any more.", party.name()));
    }
}

fn datasets(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    for dataset in new.datasets() {
        match old.dataset(dataset.name()) {
            Some(before) => compare_datasets(changes, before, dataset),
            None => {
                changes.other(format!("`{}` is a new dataset, of {}.", dataset.name(), dataset.owner()));
            }
        }
    }
    for dataset in old.datasets().iter().filter(|dataset| new.dataset(dataset.name()).is_none()) {
        changes.other(format!("The dataset `{}` of {} is gone.", dataset.name(), dataset.owner()));
    }
}

fn compare_datasets(changes: &mut Changes, old: &Dataset, new: &Dataset) {
    let name = new.name();
    if old.owner() != new.owner() {
        changes.other(format!("`{name}` is put in by {} now; before: {}.", new.owner(), old.owner()));
    }
    if old.key() != new.key() {
        changes.learn(format!(
            "Who controls the KMS key {} controls who can open `{name}`; before: {}.",
            new.key(),
            old.key()
        ));
    }
    if old.format() != new.format() {
        changes.learn(format!("`{name}` is put in as {} now, no longer as {}.", new.format(), old.format()));
    }
    for column in new.schema().columns() {
        match old.schema().column(column.name()) {
            None => changes.learn(format!("`{name}` of {} has the new column {column}.", new.owner())),
            Some(before) if before != column => {
                changes.learn(format!("The column {before} of `{name}` of {} is now {column}.", new.owner()));
            }
            Some(_) => {}
        }
    }
    for column in old.schema().columns() {
        if new.schema().column(column.name()).is_none() {
            changes.other(format!("`{name}` has no column {} any more.", column.name()));
        }
    }
    let order = |dataset: &Dataset| {
        let columns = dataset.schema().columns().iter();
        columns.map(|column| column.name().to_owned()).collect::<Vec<_>>()
    };
    let (mut sorted_old, mut sorted_new) = (order(old), order(new));
    let moved = sorted_old != sorted_new;
    sorted_old.sort();
    sorted_new.sort();
    if moved && sorted_old == sorted_new {
        changes.other(format!("The columns of `{name}` stand in another order."));
    }
    match (old.padding(), new.padding()) {
        (Padding::ToMaximum, Padding::None) => changes.learn(format!(
            "The machine's operator sees how much is in `{name}`: it is not padded any more."
        )),
        (Padding::None, Padding::ToMaximum) => changes.other(format!("`{name}` is padded now.")),
        _ => {}
    }
    match (old.presence(), new.presence()) {
        (Presence::Required, Presence::Optional) => changes.learn(format!(
            "A round may go on without `{name}`, so that results can come from the other data alone."
        )),
        (Presence::Optional, Presence::Required) => {
            changes.other(format!("`{name}` cannot be left out any more."));
        }
        _ => {}
    }
    for (what, before, after) in
        [("bytes", old.max_bytes(), new.max_bytes()), ("rows", old.max_rows(), new.max_rows())]
    {
        if before != after {
            changes.other(format!("`{name}` may have {after} {what}; before: {before}."));
        }
    }
}

fn images(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    for image in new.images().iter().filter(|image| old.image(image.name()).is_none()) {
        changes.other(format!("`{}` is a new image.", image.name()));
    }
    for image in old.images().iter().filter(|image| new.image(image.name()).is_none()) {
        changes.other(format!("The image `{}` is gone.", image.name()));
    }
}

/// Another program, or the same on other machines, for an analysis.
fn compare_images(changes: &mut Changes, analysis: &Analysis, old: &Image, new: &Image) {
    let name = analysis.name();
    if old.measurements() != new.measurements() {
        changes.learn(format!(
            "Another program runs `{name}`, the image `{}` with PCR0 {}: it may put anything of the data into the results.",
            new.name(),
            new.measurements().pcr0()
        ));
    } else if old.name() != new.name() {
        changes.other(format!("The same program runs `{name}` under another name, `{}`.", new.name()));
    }
    for (register, before, after) in
        [("PCR3", old.pcr3(), new.pcr3()), ("PCR4", old.pcr4(), new.pcr4()), ("PCR8", old.pcr8(), new.pcr8())]
    {
        match (before, after) {
            (Some(_), None) => {
                changes.learn(format!(
                    "`{name}` may run whatever {register} is: the agreement does not name it any more."
                ));
            }
            (Some(before), Some(after)) if before != after => {
                changes.learn(format!("`{name}` runs where {register} is {after}, no longer {before}."));
            }
            (None, Some(after)) => changes.other(format!("`{name}` runs only where {register} is {after}.")),
            _ => {}
        }
    }
}

fn added(changes: &mut Changes, new: &Agreement, analysis: &Analysis) {
    for output in analysis.outputs() {
        changes.learn(format!(
            "{} learns `{}` of the new analysis `{}`, computed from {}.",
            output.recipient(),
            output.name(),
            analysis.name(),
            sources(new, analysis, output.recipient())
        ));
    }
}

fn compare(
    changes: &mut Changes,
    old_agreement: &Agreement,
    agreement: &Agreement,
    old: &Analysis,
    new: &Analysis,
) {
    let name = new.name();
    if let (Some(before), Some(after)) = (old_agreement.image(old.image()), agreement.image(new.image())) {
        compare_images(changes, new, before, after);
    }
    compare_outputs(changes, agreement, old, new);
    for dataset in new.datasets().iter().filter(|dataset| !old.datasets().contains(dataset)) {
        let owner = agreement.dataset(dataset).map(|dataset| dataset.owner().as_str()).unwrap_or_default();
        changes.learn(format!(
            "Who gets results of `{name}` learns from `{dataset}` of {owner} too: the analysis did not read it before."
        ));
    }
    for dataset in old.datasets().iter().filter(|dataset| !new.datasets().contains(dataset)) {
        changes.learn(format!(
            "Results of `{name}` are computed without `{dataset}`, from the other data alone."
        ));
    }
    let order = |analysis: &Analysis, other: &Analysis| {
        let both = analysis.datasets().iter().filter(|dataset| other.datasets().contains(dataset));
        both.cloned().collect::<Vec<_>>()
    };
    if order(old, new) != order(new, old) {
        changes.other(format!("The datasets of `{name}` stand in another order."));
    }
    compare_tables(changes, &format!("The parameter of `{name}`"), old.parameters(), new.parameters());
    compare_tables(changes, &format!("The disclosure rule of `{name}`"), old.disclosure(), new.disclosure());
    for runner in new.runners().iter().filter(|runner| !old.runners().contains(runner)) {
        changes.learn(format!("{runner} may have `{name}` run."));
    }
    for runner in old.runners().iter().filter(|runner| !new.runners().contains(runner)) {
        changes.other(format!("{runner} may not have `{name}` run any more."));
    }
    match (old.authorize(), new.authorize()) {
        (Authorize::Request, Authorize::Inputs) => changes.learn(format!(
            "`{name}` may be run any number of times on one input set: single requests need no signatures of the owners any more."
        )),
        (Authorize::Inputs, Authorize::Request) => {
            changes.other(format!("Every request to `{name}` needs the signatures of all owners now."));
        }
        _ => {}
    }
    if new.rounds() > old.rounds() {
        changes.learn(format!(
            "`{name}` may have {} rounds, each with other data; before: {}.",
            new.rounds(),
            old.rounds()
        ));
    } else if new.rounds() < old.rounds() {
        changes.other(format!("`{name}` may have {} rounds; before: {}.", new.rounds(), old.rounds()));
    }
    if new.memory_mib() != old.memory_mib() {
        changes.other(format!(
            "The enclave of `{name}` must have {} MiB; before: {}.",
            new.memory_mib(),
            old.memory_mib()
        ));
    }
}

fn compare_outputs(changes: &mut Changes, agreement: &Agreement, old: &Analysis, new: &Analysis) {
    let name = new.name();
    for output in new.outputs() {
        let same = |other: &&crate::analysis::Output| {
            other.recipient() == output.recipient() && other.name() == output.name()
        };
        match old.outputs().iter().find(same) {
            None => changes.learn(format!(
                "{} learns `{}` of `{name}`, computed from {}.",
                output.recipient(),
                output.name(),
                sources(agreement, new, output.recipient())
            )),
            Some(before) if before.bytes() < output.bytes() => changes.learn(format!(
                "`{}` of `{name}` for {} can hold more: {} bytes, no longer {}.",
                output.name(),
                output.recipient(),
                output.bytes(),
                before.bytes()
            )),
            Some(before) if before.bytes() > output.bytes() => changes.other(format!(
                "`{}` of `{name}` for {} has {} bytes; before: {}.",
                output.name(),
                output.recipient(),
                output.bytes(),
                before.bytes()
            )),
            Some(_) => {}
        }
    }
    for output in old.outputs() {
        let same = |other: &crate::analysis::Output| {
            other.recipient() == output.recipient() && other.name() == output.name()
        };
        if !new.outputs().iter().any(same) {
            changes.other(format!(
                "{} does not get `{}` of `{name}` any more.",
                output.recipient(),
                output.name()
            ));
        }
    }
}

/// What an analysis is told decides what its results say, so every change is one that somebody may learn from.
fn compare_tables(changes: &mut Changes, what: &str, old: &Table, new: &Table) {
    let map = |table: &Table| -> BTreeMap<String, String> {
        flatten(table).into_iter().map(|line| (line.path, line.value)).collect()
    };
    let (old, new) = (map(old), map(new));
    for (path, value) in &new {
        match old.get(path) {
            None => changes.learn(format!("{what} {path} is new: {value}.")),
            Some(before) if before != value => {
                changes.learn(format!("{what} {path} is {value}; before: {before}."));
            }
            Some(_) => {}
        }
    }
    for (path, before) in old.iter().filter(|(path, _)| !new.contains_key(*path)) {
        changes.learn(format!("{what} {path} is gone; before: {before}."));
    }
}

fn identity(changes: &mut Changes, old: &Agreement, new: &Agreement) {
    if old == new {
        changes.other("Nothing: the two are the same agreement.");
        return;
    }
    if new.supersedes() == Some(old.digest()) {
        changes.other(format!(
            "The new agreement says that it replaces the old one, which stays runnable until {} or until its keys are \
             withdrawn.",
            old.window().not_after()
        ));
    } else {
        changes.other("The new agreement does not say that it replaces the old one: both hold.");
    }
    if old.serial() == new.serial() {
        changes.other("Both have the same serial; give the new one a serial of its own.");
    }
}
