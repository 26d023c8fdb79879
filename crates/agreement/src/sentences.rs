//! An agreement in sentences: who will learn what from whom, by which program, until when.

use std::collections::BTreeSet;
use std::fmt;

use crate::agreement::{Agreement, Image, Root};
use crate::analysis::{Analysis, Authorize};
use crate::dataset::{Dataset, Format, Padding, Presence};
use crate::name::Name;
use crate::table::{Table, Value};

/// Sentences under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paragraph {
    heading: String,
    sentences: Vec<String>,
}

impl Paragraph {
    fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), sentences: Vec::new() }
    }

    fn say(&mut self, sentence: impl Into<String>) {
        self.sentences.push(sentence.into());
    }

    /// The heading.
    #[must_use]
    pub fn heading(&self) -> &str {
        &self.heading
    }

    /// The sentences, one a line when printed.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }
}

/// An agreement in sentences, complete: what is not said here is not in the agreement. Made by [`Agreement::sentences`].
///
/// Texts of the agreement's writers stand between quotes with line feeds escaped, so that none can pass for a sentence of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentences {
    paragraphs: Vec<Paragraph>,
}

impl Sentences {
    /// The paragraphs, the most important ones first.
    #[must_use]
    pub fn paragraphs(&self) -> &[Paragraph] {
        &self.paragraphs
    }
}

impl fmt::Display for Sentences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, paragraph) in self.paragraphs.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}", paragraph.heading)?;
            for sentence in &paragraph.sentences {
                writeln!(f, "  {sentence}")?;
            }
        }
        Ok(())
    }
}

impl Agreement {
    /// The agreement in sentences, for a person who decides whether to sign it (PROTOCOL §11.1).
    #[must_use]
    pub fn sentences(&self) -> Sentences {
        let mut paragraphs = vec![terms(self)];
        for analysis in self.analyses() {
            paragraphs.push(learns(self, analysis));
            paragraphs.push(runs(self, analysis));
        }
        paragraphs.push(puts_in(self));
        paragraphs.push(keys(self));
        Sentences { paragraphs }
    }
}

fn terms(agreement: &Agreement) -> Paragraph {
    let mut paragraph = Paragraph::new(format!("Agreement {}", agreement.digest()));
    if let Some(warning) = simulated(agreement.root()) {
        paragraph.say(warning);
    }
    let names: Vec<&str> = agreement.parties().iter().map(|party| party.name().as_str()).collect();
    paragraph.say(format!("Between {}.", and(&names)));
    let window = agreement.window();
    paragraph.say(format!(
        "Runs may start and receipts be made from {} until just before {}, at no other time.",
        window.not_before(),
        window.not_after()
    ));
    if agreement.root() == Root::AwsNitro {
        paragraph.say("Only enclaves whose attestation chains to the AWS Nitro root get any data.");
    }
    match agreement.supersedes() {
        Some(old) => paragraph.say(format!(
            "It replaces the agreement {old}, which stays runnable until it ends or its keys are withdrawn."
        )),
        None => paragraph.say("It replaces no other agreement."),
    }
    paragraph.say(format!("Its serial is {}.", agreement.serial()));
    paragraph
}

/// The sentence that must not be missed.
pub(crate) fn simulated(root: Root) -> Option<String> {
    match root {
        Root::AwsNitro => None,
        Root::Simulated { ca_sha256 } => Some(format!(
            "SIMULATED: enclaves attested by the test CA with SHA-256 {} get the data. Nothing hides the data from who holds \
             that CA's key or runs the machine.",
            hex::encode(ca_sha256)
        )),
    }
}

fn learns(agreement: &Agreement, analysis: &Analysis) -> Paragraph {
    let mut paragraph = Paragraph::new(format!("Who learns what from the analysis `{}`", analysis.name()));
    for party in agreement.parties() {
        for output in analysis.outputs().iter().filter(|output| output.recipient() == party.name()) {
            paragraph.say(format!(
                "{} learns `{}`, computed from {}; the file has {} bytes whatever it says.",
                party.name(),
                output.name(),
                sources(agreement, analysis, party.name()),
                output.bytes()
            ));
        }
    }
    for party in agreement.parties() {
        let gets = analysis.outputs().iter().any(|output| output.recipient() == party.name());
        let gives = agreement.owners(analysis).contains(party.name());
        match (gets, gives) {
            (true, _) => {}
            (false, true) => paragraph.say(format!("{} puts data in and gets no result.", party.name())),
            (false, false) => paragraph.say(format!("{} puts nothing in and gets no result.", party.name())),
        }
    }
    paragraph.say(format!(
        "What stands in a result is what the program of the image `{}` puts there, by these terms:",
        analysis.image()
    ));
    for (what, table) in [("parameter", analysis.parameters()), ("disclosure", analysis.disclosure())] {
        let lines = flatten(table);
        if lines.is_empty() {
            paragraph.say(format!("- no {what}"));
        }
        for line in lines {
            paragraph.say(format!("- {what} {} = {}", line.path, line.value));
        }
    }
    paragraph
        .say("Nobody else gets a result. The machine's operator sees lengths, timing and who takes part.");
    paragraph
}

/// "the data of ada (`x`) and bea (`y`), and its own (`z`)".
pub(crate) fn sources(agreement: &Agreement, analysis: &Analysis, recipient: &Name) -> String {
    let of = |owner: &Name| {
        let names: Vec<String> = analysis
            .datasets()
            .iter()
            .filter_map(|name| agreement.dataset(name))
            .filter(|dataset| dataset.owner() == owner)
            .map(|dataset| format!("`{}`", dataset.name()))
            .collect();
        names.join(", ")
    };
    let owners = agreement.owners(analysis);
    let others: Vec<String> = owners
        .iter()
        .filter(|owner| *owner != recipient)
        .map(|owner| format!("{owner} ({})", of(owner)))
        .collect();
    let own = owners.contains(recipient).then(|| format!("its own ({})", of(recipient)));
    match (others.is_empty(), own) {
        (false, Some(own)) => format!("the data of {}, and {own}", and(&others)),
        (false, None) => format!("the data of {}", and(&others)),
        (true, Some(own)) => own,
        (true, None) => "no data".to_owned(),
    }
}

fn runs(agreement: &Agreement, analysis: &Analysis) -> Paragraph {
    let mut paragraph = Paragraph::new(format!("Who can run `{}`, and how often", analysis.name()));
    let runners: Vec<&str> = analysis.runners().iter().map(Name::as_str).collect();
    paragraph.say(format!("{} may have it run, nobody else.", and(&runners)));
    let owners = agreement.owners(analysis);
    let owners: Vec<&str> = owners.iter().map(Name::as_str).collect();
    paragraph.say(match analysis.authorize() {
        Authorize::Inputs => format!(
            "A round starts when {} signed its input set; from then on it can be run any number of times, which gives the \
             same results.",
            and(&owners)
        ),
        Authorize::Request => format!(
            "A round starts when {} signed its input set, and every single request needs the signatures of all of them and of who asks.",
            and(&owners)
        ),
    });
    paragraph.say(match analysis.rounds() {
        1 => "There is one round: one set of data, once.".to_owned(),
        rounds => format!(
            "There may be {rounds} rounds, each with other data; what the rounds tell together is for the owners to weigh."
        ),
    });
    if let Some(image) = agreement.image(analysis.image()) {
        for sentence in measured(image) {
            paragraph.say(sentence);
        }
    }
    paragraph.say(format!("The enclave must have {} MiB of memory.", analysis.memory_mib()));
    paragraph
}

fn measured(image: &Image) -> Vec<String> {
    let measurements = image.measurements();
    let mut sentences = vec![
        format!(
            "It runs in the image `{}` only, whose measurements you can get by building it yourself:",
            image.name()
        ),
        format!("- PCR0 {}", measurements.pcr0()),
        format!("- PCR1 {}", measurements.pcr1()),
        format!("- PCR2 {}", measurements.pcr2()),
    ];
    let further = [
        (image.pcr3(), "PCR3", "on machines with one IAM role"),
        (image.pcr4(), "PCR4", "on one machine"),
        (image.pcr8(), "PCR8", "signed with one certificate"),
    ];
    for (value, register, meaning) in further {
        if let Some(value) = value {
            sentences.push(format!("- {register} {value}: {meaning} only"));
        }
    }
    sentences
}

fn puts_in(agreement: &Agreement) -> Paragraph {
    let mut paragraph = Paragraph::new("What each party puts in");
    for dataset in agreement.datasets() {
        paragraph.say(describe(dataset));
        for column in dataset.schema().columns() {
            paragraph.say(format!("- column {column}"));
        }
        paragraph.say(match dataset.padding() {
            Padding::ToMaximum => {
                "- padded, so that the machine's operator does not see how much there is".to_owned()
            }
            Padding::None => "- not padded: the machine's operator sees how much there is".to_owned(),
        });
        if dataset.presence() == Presence::Optional {
            paragraph
                .say(format!("- optional: a round may go on without it, if {} signs that", dataset.owner()));
        }
        paragraph.say(format!("- who controls the KMS key {} controls who can open it", dataset.key()));
        let readers: Vec<String> = agreement
            .analyses()
            .iter()
            .filter(|analysis| analysis.datasets().contains(dataset.name()))
            .map(|analysis| format!("`{}`", analysis.name()))
            .collect();
        paragraph.say(if readers.is_empty() {
            "- no analysis reads it".to_owned()
        } else {
            format!("- read by {} only", and(&readers))
        });
    }
    let owners: BTreeSet<&Name> = agreement.datasets().iter().map(Dataset::owner).collect();
    for party in agreement.parties().iter().filter(|party| !owners.contains(party.name())) {
        paragraph.say(format!("{} puts nothing in.", party.name()));
    }
    paragraph
}

fn describe(dataset: &Dataset) -> String {
    let what = match dataset.format() {
        Format::Parquet => format!("a table of at most {} rows", dataset.max_rows()),
        Format::Age => "a file".to_owned(),
    };
    format!(
        "{} puts in `{}`, {what}, sealed in at most {} bytes:",
        dataset.owner(),
        dataset.name(),
        dataset.max_bytes()
    )
}

fn keys(agreement: &Agreement) -> Paragraph {
    let mut paragraph = Paragraph::new("Whose keys count: compare each with its party by another road");
    for party in agreement.parties() {
        let key = party.sign_key();
        paragraph.say(format!("{} signs with {} {}", party.name(), key.kind(), key.fingerprint()));
        paragraph.say(format!("{} opens results with {}", party.name(), party.result_key()));
    }
    paragraph
}

/// A value of a table and how to get to it.
pub(crate) struct Line {
    pub(crate) path: String,
    pub(crate) value: String,
}

/// All values of a table and of those in it. Rows that have a text `id` or `name` each of their own are called by it, so that a
/// row put in between does not rename the others.
pub(crate) fn flatten(table: &Table) -> Vec<Line> {
    let mut lines = Vec::new();
    flatten_into("", table, &mut lines);
    lines
}

fn flatten_into(prefix: &str, table: &Table, lines: &mut Vec<Line>) {
    for key in table.keys() {
        let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        match table.value(key) {
            Some(Value::Table(inner)) => flatten_into(&path, inner, lines),
            Some(Value::Tables(rows)) => {
                for (index, (row, label)) in rows.iter().zip(labels(rows)).enumerate() {
                    let label = label.unwrap_or_else(|| (index + 1).to_string());
                    let path = format!("{path}[{label}]");
                    if row.is_empty() {
                        lines.push(Line { path: path.clone(), value: "nothing".to_owned() });
                    }
                    flatten_into(&path, row, lines);
                }
            }
            Some(value) => lines.push(Line { path, value: show(value) }),
            None => {}
        }
    }
}

fn labels(rows: &[Table]) -> Vec<Option<String>> {
    for key in ["id", "name"] {
        let texts: Vec<Option<String>> = rows
            .iter()
            .map(|row| match row.value(key) {
                Some(Value::Text(text)) => Some(format!("{text:?}")),
                _ => None,
            })
            .collect();
        let distinct: BTreeSet<&Option<String>> = texts.iter().collect();
        if texts.iter().all(Option::is_some) && distinct.len() == texts.len() {
            return texts;
        }
    }
    vec![None; rows.len()]
}

fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(integer) => integer.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(_) => "a table".to_owned(),
        Value::Tables(_) => "tables".to_owned(),
    }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn and<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => "nobody".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
