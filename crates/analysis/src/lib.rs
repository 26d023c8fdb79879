//! What an analysis is: confidential inputs in, a confidential outcome out.
//!
//! An enclave program has one [`Analysis`] compiled in. The runtime configures it from the agreement (public, so errors are exact),
//! hands it every dataset as an [`Input`], and gets a [`Confidential`] [`Outcome`]: what each recipient *would* get. Only
//! `entente-disclosure` opens that, under the [`Rules`] that the analysis declared before it saw any data.
//!
//! **Threat model.** An analysis is trusted with the data and not with the exit: what it proposes beyond its declared rules is
//! refused, and the refusal is told to nobody but the recipient. It must be total: no input may make it fail, because a failure is seen
//! by the host. It has no clock, no randomness but the owners' common [`SeedStream`], no files and no network, so that a rerun
//! repeats the outcome.
//!
//! ```
//! use entente_analysis::{Confidential, Outcome, ProposedOutput, ProposedTable};
//!
//! # fn main() -> Result<(), entente_agreement::NameError> {
//! let lots = ProposedTable::new("lots.csv").text("lot", ["pier-3"]).text("status", ["won"]);
//! let output = ProposedOutput::of("own".parse()?, "north".parse()?, vec![lots]);
//! let outcome = Confidential::new(Outcome::new(vec![output], Vec::new()));
//! # let _ = outcome;
//! # Ok(()) }
//! ```

mod error;
mod input;
mod outcome;
mod rules;
mod seed;

use entente_agreement::Agreement;
pub use entente_confidential::Confidential;

pub use crate::{
    error::{ParameterError, ParameterProblem},
    input::{DatasetInput, Input, InputTables, VoidReason},
    outcome::{Notice, Outcome, Proposal, ProposedColumn, ProposedOutput, ProposedTable, RowNumbers, Values},
    rules::{
        Cells, ColumnRule, Domain, NOTICES_FILE, NOTICES_HEADER, OutputRule, Rules, TableRule, archive_bytes,
        csv_bytes,
    },
    seed::SeedStream,
};

/// One joint computation, as compiled into an enclave program.
pub trait Analysis: Sized {
    /// What this program calls itself, for instance `auction`. An analysis of an agreement is of this kind if that is its name, alone
    /// or followed by `-` and more (`auction`, `auction-spring`); see [`is_kind_of`]. [`configure`](Self::configure) refuses others
    /// (PROTOCOL §10, step 3: "the analysis is the one compiled in").
    const NAME: &'static str;

    /// Reads parameters and disclosure rules of `analysis` out of the agreement, and checks that its datasets and outputs fit.
    ///
    /// The same check runs at a party before it signs, so that an agreement that cannot be run is never signed.
    ///
    /// # Errors
    /// What is wrong and where in the agreement's text. Everything here is public, so the error may be exact.
    fn configure(
        agreement: &Agreement,
        analysis: &entente_agreement::Analysis,
    ) -> Result<Self, ParameterError>;

    /// What may be released at most. It follows from the agreement alone, because this is asked before any data is there.
    fn rules(&self) -> &Rules;

    /// Who will learn what, in sentences for people who are about to sign.
    fn sentences(&self) -> Vec<String>;

    /// Computes. Whatever the inputs are, there is an outcome: no error, no panic (PROTOCOL §10, step 9).
    ///
    /// Every choice that can be seen in the outcome comes from `seed`; the outcome depends on nothing but the inputs' contents
    /// and the seed, in particular not on time, memory or the order of threads.
    fn run(&self, inputs: InputTables, seed: &dyn SeedStream) -> Confidential<Outcome>;
}

/// Whether an analysis called `name` in an agreement is of the kind that a program calls `kind`.
#[must_use]
pub fn is_kind_of(name: &entente_agreement::Name, kind: &str) -> bool {
    name.as_str().strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
