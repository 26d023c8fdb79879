//! Analyses that break their promise.

use entente_agreement::Agreement;
use entente_analysis::{
    Analysis, Confidential, InputTables, Notice, Outcome, ParameterError, ProposedOutput, Rules, SeedStream,
};
use entente_channel::ErrorCode;
use entente_enclave::Refusal;
use entente_sealing::result::{ResultArchive, Verdict};

use crate::module::Module;
use crate::relay::Relay;
use crate::tally::Tally;
use crate::world::name;
use crate::{WORLD, life_of};

/// Panics where it must not, with data in its message.
struct Panics(Tally);

impl Analysis for Panics {
    const NAME: &'static str = Tally::NAME;

    fn configure(
        agreement: &Agreement,
        analysis: &entente_agreement::Analysis,
    ) -> Result<Self, ParameterError> {
        Tally::configure(agreement, analysis).map(Self)
    }

    fn rules(&self) -> &Rules {
        self.0.rules()
    }

    fn sentences(&self) -> Vec<String> {
        Vec::new()
    }

    fn run(&self, _: InputTables, _: &dyn SeedStream) -> Confidential<Outcome> {
        panic!("the villa went for 125000.00 (this panic is part of the test)");
    }
}

#[test]
fn a_defect_has_one_code_and_nothing_goes_out() {
    let life = life_of::<Panics>(Module::honest(&WORLD), Relay::honest(&WORLD), 256);
    assert_eq!(*life.refused(ErrorCode::RunFailed), Refusal::Run);
}

/// Proposes what its rules do not allow: a refusal of its own, and a notice about a dataset that nobody has.
struct Oversteps(Tally);

impl Analysis for Oversteps {
    const NAME: &'static str = Tally::NAME;

    fn configure(
        agreement: &Agreement,
        analysis: &entente_agreement::Analysis,
    ) -> Result<Self, ParameterError> {
        Tally::configure(agreement, analysis).map(Self)
    }

    fn rules(&self) -> &Rules {
        self.0.rules()
    }

    fn sentences(&self) -> Vec<String> {
        Vec::new()
    }

    fn run(&self, _: InputTables, _: &dyn SeedStream) -> Confidential<Outcome> {
        let output = ProposedOutput::of(name("tally"), name("north"), Vec::new());
        let notice = Notice::dataset(name("bids-west"), "looked-at");
        Confidential::new(Outcome::new(vec![output], vec![notice]))
    }
}

#[test]
fn what_oversteps_the_rules_is_a_verdict_inside_and_looks_the_same_outside() {
    let honest = life_of::<Tally>(Module::honest(&WORLD), Relay::honest(&WORLD), 256);
    let refused = life_of::<Oversteps>(Module::honest(&WORLD), Relay::honest(&WORLD), 256);
    assert_eq!(refused.end, Ok(()));
    let questions = |life: &crate::Life| {
        // But for the lengths of age's own random stanza.
        let words = |line: &String| line.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        life.seen.questions.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(questions(&honest), questions(&refused));
    for recipient in ["north", "harbour"] {
        let sealed = refused.seen.files.get(&format!("tally.{recipient}.age")).unwrap();
        let archive = WORLD.party(recipient).result.open(sealed, 1 << 20).unwrap();
        assert_eq!(archive.len(), 16384);
        let contents = ResultArchive::parse(&archive).unwrap();
        assert_eq!(contents.binding.verdict, Verdict::Refused);
        assert!(contents.files.is_empty());
    }
}
