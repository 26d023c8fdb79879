//! The only way out: rules that turn a confidential outcome into released results.
//!
//! [`disclose`] opens what an analysis computed, holds it against the agreement and against the [`Rules`] that the analysis
//! declared before it saw data, and returns [`Released`] results: for every output and recipient that the agreement lists exactly
//! one, with the verdict `released` or `refused`, in the agreement's order.
//!
//! **Threat model.** The adversary chose the data, and perhaps found a defect in the analysis. It wants bytes of somebody else's data
//! in its own result, or a failure that it can see. What is not declared is refused, a refusal says nothing but its own word, in that
//! recipient's file, and nothing here returns an error. Lengths are hidden by the padding to the agreed size, which follows.
//!
//! What is checked for one output (each failure refuses it):
//!
//! 1. the analysis proposed exactly one for this name and recipient, and did not refuse it itself;
//! 2. its files are those of the rule, each once;
//! 3. each file has exactly the declared columns, all of one length, and no more rows than declared;
//! 4. each cell is in its column's declared domain, empty only where declared;
//! 5. all files fit into the agreed number of bytes, with the archive's own bytes counted.
//!
//! Rows are written in byte order of their lines: the order in which an analysis found them says nothing. Notices go to the owner of
//! the dataset that they are about, in a file that is part of each of its outputs. A proposal or notice that belongs to nothing in the
//! agreement shows a defect, and refuses everything.
//!
//! ```
//! # use entente_agreement::{Agreement, Analysis};
//! # use entente_analysis::{Confidential, Outcome, Rules};
//! use entente_disclosure::{Released, Results, Verdict, disclose};
//!
//! # #[expect(dead_code)]
//! fn release(agreement: &Agreement, analysis: &Analysis, rules: &Rules, outcome: Confidential<Outcome>) {
//!     let released: Released<Results> = disclose(agreement, analysis, rules, outcome);
//!     for result in released.iter() {
//!         assert_eq!(result.verdict() == Verdict::Refused, result.files().is_empty());
//!     }
//! }
//! ```

mod notices;
mod released;
mod table;

use entente_agreement::{Agreement, Analysis, Output};
use entente_analysis::{Confidential, NOTICES_FILE, Outcome, Proposal, ProposedOutput, Rules, archive_bytes};

pub use crate::released::{Released, ReleasedFile, ReleasedOutput, Results, Verdict};
use crate::{notices::Notices, table::write_table};

/// Opens `outcome` and lets go what `agreement` and `rules` allow for `analysis`.
///
/// Total: whatever the data were and whatever the analysis did, the results are complete, one per output and recipient of
/// `analysis`, in that order.
///
/// # Security
/// `rules` must be those of the analysis that was configured from the same agreement. The one value that depends on data beyond
/// the files themselves is the verdict, which only the recipient can read.
pub fn disclose(
    agreement: &Agreement,
    analysis: &Analysis,
    rules: &Rules,
    outcome: Confidential<Outcome>,
) -> Released<Results> {
    let (proposed, notices) = entente_confidential::open(outcome).into_parts();
    let agreed = analysis.outputs();
    let belongs = |proposal: &ProposedOutput| agreed.iter().any(|output| is_for(proposal, output));
    let notices = Notices::sort(agreement, analysis, rules, notices).filter(|_| proposed.iter().all(belongs));
    let results = agreed
        .iter()
        .map(|output| {
            let files = notices.as_ref().and_then(|notices| release(rules, output, &proposed, notices));
            ReleasedOutput::new(output.name().clone(), output.recipient().clone(), files)
        })
        .collect();
    Released::new(Results::new(results))
}

fn is_for(proposal: &ProposedOutput, output: &Output) -> bool {
    proposal.output() == output.name() && proposal.recipient() == output.recipient()
}

/// The files of one output, or `None` if it is refused.
fn release(
    rules: &Rules,
    output: &Output,
    proposed: &[ProposedOutput],
    notices: &Notices,
) -> Option<Vec<ReleasedFile>> {
    let rule = rules.output(output.name())?;
    let mut candidates = proposed.iter().filter(|proposal| is_for(proposal, output));
    let (Some(candidate), None) = (candidates.next(), candidates.next()) else { return None };
    let Proposal::Files(tables) = candidate.proposal() else { return None };
    if tables.len() != rule.files.len() {
        return None;
    }
    let mut files = Vec::with_capacity(rule.files.len() + 1);
    for wanted in &rule.files {
        // Equal numbers, and each wanted file found: so none is there twice and none beside.
        let table = tables.iter().find(|table| table.file() == wanted.file)?;
        files.push(ReleasedFile::new(wanted.file, write_table(wanted, table, output.bytes())?));
    }
    files.push(ReleasedFile::new(NOTICES_FILE, notices.write(output.recipient())?));
    let bytes = archive_bytes(files.iter().map(|file| file.bytes().len() as u64));
    (bytes <= output.bytes()).then_some(files)
}
