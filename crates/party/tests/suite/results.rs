//! Opening results.

use crate::world::{World, name, now};
use entente_agreement::{ApprovedAgreement, InputSet};
use entente_attestation::Digest384;
use entente_party::{
    ExpectedInputs, OpenError, OpenOrder, OpenedResult, authorize, open_result, propose_inputs,
};
use entente_receipt::{Receipt, ResultError, ResultFile, Statement};
use entente_sealing::result::{ArchiveFile, ResultArchive, ResultBinding, Verdict};
use entente_testkit::Attestation;
use std::fs;
use std::path::PathBuf;

/// What an enclave would have made: the seller's and north's outcome, and the receipt.
struct Run {
    world: World,
    set: InputSet,
}

fn archive(world: &World, set: &InputSet, recipient: &str) -> ResultArchive {
    let binding = ResultBinding {
        agreement: world.agreement.digest(),
        inputs: set.digest(),
        request: None,
        analysis: name("auction"),
        recipient: name(recipient),
        output: name("outcome"),
        verdict: Verdict::Released,
        salt: [3; 32],
    };
    let files = [ArchiveFile::new("outcome.csv", format!("for,{recipient}\n").into_bytes()).unwrap()];
    ResultArchive::build(&binding, &files, 8192).unwrap()
}

impl Run {
    fn new() -> Self {
        let (world, approved) = World::approved();
        let set = Self::authorized(&world, &approved);
        let run = Self { world, set };
        let archives =
            ["seller", "north"].map(|recipient| (recipient, archive(&run.world, &run.set, recipient)));
        run.finish(&archives);
        run
    }

    fn authorized(world: &World, approved: &ApprovedAgreement) -> InputSet {
        let manifests = world.manifests(approved);
        let set = propose_inputs(&world.agreement, &name("auction"), 1, &manifests).unwrap();
        let file = world.path("inputs.toml");
        for party in ["north", "south", "seller"] {
            authorize(world.home(party), approved, &set, &manifests, &file, &world.release(), now()).unwrap();
        }
        set
    }

    /// Seals the archives and makes the receipt over them.
    fn finish(&self, archives: &[(&str, ResultArchive)]) {
        let results: Vec<ResultFile> = archives
            .iter()
            .map(|(recipient, archive)| {
                let sealed = archive.seal(self.world.home(recipient).result_key()).unwrap();
                fs::write(self.sealed(recipient), &sealed).unwrap();
                ResultFile {
                    output: name("outcome"),
                    recipient: name(recipient),
                    sealed: Digest384::of(&sealed),
                    opened: archive.digest(),
                }
            })
            .collect();
        let measurements = self.world.measurements();
        let statement = Statement::new(&self.set, None, &measurements, &results).unwrap();
        let document = self.world.hypervisor.attest(
            &Attestation::at(now().as_millis())
                .with_measurements(
                    measurements.pcr0().as_bytes(),
                    measurements.pcr1().as_bytes(),
                    measurements.pcr2().as_bytes(),
                )
                .bound_to(self.world.agreement.digest().as_bytes(), self.set.digest().as_bytes())
                .with_user_data(statement.user_data().as_bytes()),
        );
        let receipt = Receipt::assemble(&statement, &document).unwrap();
        fs::write(self.world.path("receipt.json"), receipt.bytes()).unwrap();
    }

    fn sealed(&self, recipient: &str) -> PathBuf {
        self.world.path(&format!("outcome.{recipient}.age"))
    }

    fn open(&self, party: &str, inputs: ExpectedInputs) -> Result<OpenedResult, OpenError> {
        let order = OpenOrder {
            agreement: &self.world.agreement,
            anchor: &self.world.anchor(),
            receipt: &self.world.path("receipt.json"),
            sealed: &self.sealed(party),
            output: &name("outcome"),
            inputs,
        };
        open_result(self.world.home(party), &order)
    }
}

#[test]
fn a_verified_result_opens() {
    let run = Run::new();
    for party in ["seller", "north"] {
        let opened = run.open(party, ExpectedInputs::Authorized).unwrap();
        assert_eq!(opened.verdict(), Verdict::Released);
        assert!(opened.receipt().to_string().starts_with("SIMULATED"));
        let directory = run.world.path(&format!("out-{party}"));
        let paths = opened.write_to(&directory).unwrap();
        assert_eq!(paths, [directory.join("BINDING.toml"), directory.join("outcome.csv")]);
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), format!("for,{party}\n"));
        assert!(opened.write_to(&directory).is_err(), "nothing is overwritten");
    }
    // Told by an owner whom one trusts, or not told the right thing.
    assert!(run.open("north", ExpectedInputs::ToldByOwner(run.set.digest())).is_ok());
    assert!(matches!(
        run.open("north", ExpectedInputs::ToldByOwner(Digest384::of(b"x"))),
        Err(OpenError::OtherInputs { .. })
    ));
}

#[test]
fn without_a_good_receipt_there_is_no_result() {
    let run = Run::new();
    let receipt = run.world.path("receipt.json");
    let good = fs::read(&receipt).unwrap();
    fs::remove_file(&receipt).unwrap();
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::NoReceipt { .. })));
    for at in (0..good.len()).step_by(197) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(&receipt, &changed).unwrap();
        assert!(
            matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::Receipt(_))),
            "byte {at}"
        );
    }
    // Another hypervisor's word.
    let other = Run::new();
    fs::copy(other.world.path("receipt.json"), &receipt).unwrap();
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::Receipt(_))));
}

#[test]
fn exchanged_and_forged_files_are_refused() {
    let run = Run::new();
    let good = fs::read(run.sealed("north")).unwrap();
    // Sealed anew, to the same party, with the same content: anybody can do that with content of its own.
    let forged = archive(&run.world, &run.set, "north").seal(run.world.home("north").result_key()).unwrap();
    fs::write(run.sealed("north"), &forged).unwrap();
    assert!(matches!(
        run.open("north", ExpectedInputs::Authorized),
        Err(OpenError::Result(ResultError::OtherFile { .. }))
    ));
    fs::copy(run.sealed("seller"), run.sealed("north")).unwrap();
    assert!(matches!(
        run.open("north", ExpectedInputs::Authorized),
        Err(OpenError::Result(ResultError::OtherFile { .. }))
    ));
    fs::write(run.sealed("north"), &good[..good.len() - 1]).unwrap();
    assert!(matches!(
        run.open("north", ExpectedInputs::Authorized),
        Err(OpenError::Result(ResultError::OtherFile { .. }))
    ));
    fs::write(run.sealed("north"), vec![0; 1 << 20]).unwrap();
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::File(_))));
    // South gets nothing in this agreement.
    fs::write(run.sealed("south"), &good).unwrap();
    assert!(matches!(
        run.open("south", ExpectedInputs::Authorized),
        Err(OpenError::Result(ResultError::NoSuchResult { .. }))
    ));
}

#[test]
fn a_binding_of_something_else_is_refused() {
    let run = Run::new();
    // An enclave with a defect: the seller's archive, sealed to north, under north's name.
    run.finish(&[
        ("seller", archive(&run.world, &run.set, "seller")),
        ("north", archive(&run.world, &run.set, "seller")),
    ]);
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::OtherBinding)));
    assert!(run.open("seller", ExpectedInputs::Authorized).is_ok());
}

#[test]
fn a_run_that_was_not_authorized_is_refused() {
    let run = Run::new();
    let journal = run.world.home("north").directory().join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let approved: String = text.lines().take(1).map(|line| format!("{line}\n")).collect();
    fs::write(&journal, approved).unwrap();
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::NotAuthorized { .. })));
    fs::write(&journal, "").unwrap();
    assert!(matches!(run.open("north", ExpectedInputs::Authorized), Err(OpenError::NotApproved { .. })));
}
