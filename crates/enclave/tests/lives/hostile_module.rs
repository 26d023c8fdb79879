//! Modules, images, roots and times that are not those of the agreement, and modules that lie.

use entente_attestation::{AppraisalError, Digest384, Field, PcrIndex};
use entente_channel::ErrorCode;
use entente_enclave::evidence::EvidenceError;
use entente_enclave::{Refusal, Register};
use entente_nsm::codec::{Request, Response};
use entente_nsm::{Lock, NsmError, NsmErrorCode, PcrState};
use entente_testkit::ForgedHypervisor;

use crate::module::Module;
use crate::relay::Relay;
use crate::world::{Content, NOW, World, name};
use crate::{Life, WORLD, life};

fn with(change: impl FnOnce(&mut Module)) -> Life {
    let mut module = Module::honest(&WORLD);
    change(&mut module);
    life(module, Relay::honest(&WORLD))
}

/// The life was refused, no register was touched, and no key was asked for.
fn refused_untouched(change: impl FnOnce(&mut Module)) -> Refusal {
    let life = with(change);
    let touched =
        |request: &Request| !matches!(request, Request::Attestation(_) | Request::DescribePcr { .. });
    assert!(!life.asked_module.iter().any(touched));
    life.refused_early(ErrorCode::AttestationRefused).clone()
}

fn appraisal(refusal: Refusal) -> AppraisalError {
    match refusal {
        Refusal::Evidence(EvidenceError::Appraisal(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn set_register(module: &mut Module, index: usize, value: Digest384) {
    module.registers.get_mut(index).unwrap().value = value;
}

#[test]
fn debug_mode_ends_at_the_self_check() {
    let refusal =
        refused_untouched(|module| (0..3).for_each(|index| set_register(module, index, Digest384::ZERO)));
    assert!(matches!(appraisal(refusal), AppraisalError::DebugMode(_)));
}

#[test]
fn another_image_is_refused_by_each_of_its_registers() {
    for (index, register) in
        [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION].into_iter().enumerate()
    {
        let refusal = refused_untouched(|module| set_register(module, index, Digest384::of(b"another")));
        let AppraisalError::PcrDiffers { register: found, .. } = appraisal(refusal) else {
            panic!("no difference")
        };
        assert_eq!(found, register);
    }
}

#[test]
fn a_named_parent_instance_must_be_this_one() {
    let pcr4 = Digest384::of(b"the agreed instance");
    let edit = |text: String| {
        text.replace(
            "\n\n[[dataset]]\nname = \"bids-north\"",
            &format!("\npcr4 = \"{pcr4}\"\n\n[[dataset]]\nname = \"bids-north\""),
        )
    };
    let world = World::with(edit, |_| Content::Genuine);
    assert!(world.agreement.image(&name("tally")).unwrap().pcr4().is_some());
    let elsewhere = life(Module::honest(&world), Relay::honest(&world));
    let refusal = elsewhere.refused_early(ErrorCode::AttestationRefused).clone();
    assert!(matches!(
        appraisal(refusal),
        AppraisalError::PcrDiffers { register: PcrIndex::PARENT_INSTANCE, .. }
    ));
    let mut module = Module::honest(&world);
    set_register(&mut module, 4, pcr4);
    assert_eq!(life(module, Relay::honest(&world)).end, Ok(()));
}

#[test]
fn another_root_is_refused() {
    let other = ForgedHypervisor::new();
    let found = other.root_fingerprint();
    let refusal = refused_untouched(|module| module.hypervisor = other);
    let expected = WORLD.hypervisor.root_fingerprint();
    assert_eq!(refusal, Refusal::Evidence(EvidenceError::OtherRoot { expected, found }));
}

#[test]
fn a_simulated_enclave_never_runs_under_an_agreement_for_hardware() {
    let edit = |text: String| {
        let root = text.lines().find(|line| line.starts_with("root = ")).unwrap().to_owned();
        text.replace(&root, "root = \"aws-nitro\"")
    };
    let world = World::with(edit, |_| Content::Genuine);
    let life = life(Module::honest(&world), Relay::honest(&world));
    let refusal = life.refused_early(ErrorCode::AttestationRefused);
    assert!(matches!(refusal, Refusal::Evidence(EvidenceError::Authentication(_))), "{refusal:?}");
}

#[test]
fn an_enclave_that_is_bound_already_is_refused() {
    for (index, register) in [(16, PcrIndex::AGREEMENT), (17, PcrIndex::INPUT_SET)] {
        // Locked before: it stands in the self-check document.
        let locked = |module: &mut Module| {
            *module.registers.get_mut(index).unwrap() =
                PcrState { lock: Lock::Locked, value: Digest384::of(b"bound") };
        };
        let refusal = refused_untouched(locked);
        assert_eq!(appraisal(refusal), AppraisalError::PcrUnexpected { register });

        // Extended before, and not locked: only DescribePCR shows it.
        let life = with(|module| set_register(module, index, Digest384::of(b"extended")));
        let refusal = life.refused_early(ErrorCode::AttestationRefused);
        assert_eq!(*refusal, Refusal::Register { index: register, at: Register::NotFresh });
    }
}

#[test]
fn time_is_within_the_agreements_window() {
    let days = |days: u64| days * 86_400_000;
    for time in [NOW - days(21), NOW + days(10)] {
        let refusal = refused_untouched(|module| module.times = vec![time]);
        assert!(matches!(appraisal(refusal), AppraisalError::OutsideWindow { .. }));
    }
    // The window closes during the run: there is no receipt, and so no result.
    let life = with(|module| module.times = vec![NOW, NOW, NOW, NOW, NOW + days(10)]);
    let refusal = life.refused(ErrorCode::AttestationRefused).clone();
    assert!(matches!(appraisal(refusal), AppraisalError::OutsideWindow { .. }));
    assert_eq!(life.seen.key_questions.len(), 3);
}

#[test]
fn a_document_answers_this_question_and_no_other() {
    let change = |edit: fn(&mut entente_nsm::AttestationRequest)| {
        let mut forger = Module::honest(&WORLD);
        refused_untouched(|module| {
            module.mischief = Box::new(move |request, response| match request {
                Request::Attestation(request) => {
                    let mut request = request.clone();
                    edit(&mut request);
                    Response::Attestation { document: forger.document(&request) }
                }
                _ => response,
            });
        })
    };
    let replayed = change(|request| request.nonce = Some(vec![5; 32]));
    assert_eq!(appraisal(replayed), AppraisalError::NonceDiffers);
    let without = change(|request| request.nonce = None);
    assert!(matches!(appraisal(without), AppraisalError::FieldAbsent { field: Field::Nonce, .. }));
    let with_key = change(|request| request.public_key = Some(vec![1; 294]));
    assert!(matches!(appraisal(with_key), AppraisalError::FieldPresent { field: Field::PublicKey, .. }));
    let with_data = change(|request| request.user_data = Some(Vec::new()));
    assert!(matches!(appraisal(with_data), AppraisalError::FieldPresent { field: Field::UserData, .. }));
}

#[test]
fn bytes_that_are_no_document_are_refused() {
    for document in [vec![], vec![0x84], vec![0; 5000]] {
        let refusal = refused_untouched(|module| {
            module.mischief = Box::new(move |request, response| match request {
                Request::Attestation(_) => Response::Attestation { document: document.clone() },
                _ => response,
            });
        });
        assert!(matches!(refusal, Refusal::Evidence(EvidenceError::Form(_))), "{refusal:?}");
    }
    // One byte of the genuine self-check document, anywhere, makes it no document or not authentic.
    let mut genuine = Module::honest(&WORLD);
    let nonce = Some(vec![0; 32]);
    let length = genuine.document(&entente_nsm::AttestationRequest { nonce, ..Default::default() }).len();
    for at in (0..length.saturating_sub(10)).step_by(97) {
        let refusal = refused_untouched(|module| {
            module.mischief = Box::new(move |_, response| match response {
                Response::Attestation { mut document } => {
                    *document.get_mut(at).unwrap() ^= 1;
                    Response::Attestation { document }
                }
                other => other,
            });
        });
        assert!(matches!(refusal, Refusal::Evidence(_)), "byte {at}: {refusal:?}");
    }
}

#[test]
fn a_module_that_lies_about_registers_is_refused() {
    let lie = |which: fn(&Request) -> bool, answer: Response| {
        let life = with(|module| {
            module.mischief =
                Box::new(move |request, truth| if which(request) { answer.clone() } else { truth });
        });
        life.refused_early(ErrorCode::AttestationRefused).clone()
    };
    let value = Digest384::of(b"something else");
    let refusal = lie(
        |request| matches!(request, Request::ExtendPcr { index: 16, .. }),
        Response::ExtendPcr { data: value },
    );
    assert_eq!(refusal, Refusal::Register { index: PcrIndex::AGREEMENT, at: Register::ExtendedWrongly });
    let refusal = lie(
        |request| matches!(request, Request::ExtendPcr { index: 17, .. }),
        Response::ExtendPcr { data: value },
    );
    assert_eq!(refusal, Refusal::Register { index: PcrIndex::INPUT_SET, at: Register::ExtendedWrongly });
    let locked = Response::DescribePcr(PcrState { lock: Lock::Locked, value: Digest384::ZERO });
    let refusal = lie(|request| matches!(request, Request::DescribePcr { index: 16 }), locked);
    assert_eq!(refusal, Refusal::Register { index: PcrIndex::AGREEMENT, at: Register::NotFresh });
    let fresh = Response::DescribePcr(PcrState { lock: Lock::Unlocked, value: Digest384::ZERO });
    let refusal = lie(|request| matches!(request, Request::DescribePcr { index: 17 }), fresh);
    assert_eq!(refusal, Refusal::Register { index: PcrIndex::INPUT_SET, at: Register::NotLocked });
    let refused = Response::Error(NsmErrorCode::ReadOnlyIndex);
    let refusal = lie(|request| matches!(request, Request::LockPcr { .. }), refused);
    assert_eq!(refusal, Refusal::Nsm(NsmError::Refused(NsmErrorCode::ReadOnlyIndex)));
    let refusal = lie(|request| matches!(request, Request::LockPcr { .. }), Response::LockPcrs);
    assert_eq!(refusal, Refusal::Nsm(NsmError::OtherQuestion));
}

#[test]
fn a_receipt_document_of_something_else_is_not_handed_out() {
    let mut forger = Module::honest(&WORLD);
    forger.registers = bound_registers();
    let life = with(|module| {
        module.mischief = Box::new(move |request, truth| match request {
            Request::Attestation(request) if request.user_data.is_some() => {
                let mut request = request.clone();
                request.user_data = Some(vec![9; 48]);
                Response::Attestation { document: forger.document(&request) }
            }
            _ => truth,
        });
    });
    let refusal = life.refused(ErrorCode::AttestationRefused).clone();
    assert!(matches!(appraisal(refusal), AppraisalError::UserDataDiffers { .. }));
}

/// The registers of an enclave that is bound to [`WORLD`].
fn bound_registers() -> [PcrState; 32] {
    let mut registers = Module::honest(&WORLD).registers;
    let agreement = entente_attestation::pcr16_for(&WORLD.agreement.digest());
    let inputs = entente_attestation::pcr17_for(&WORLD.set.digest());
    for (index, value) in [(16, agreement), (17, inputs)] {
        *registers.get_mut(index).unwrap() = PcrState { lock: Lock::Locked, value };
    }
    registers
}

#[test]
fn the_agreements_analysis_is_the_one_compiled_in() {
    let edit = |text: String| text.replace("name = \"tally-spring\"", "name = \"auction-spring\"");
    let world = World::with(edit, |_| Content::Genuine);
    let mut relay = Relay::honest(&world);
    relay.documents.analysis = "auction-spring".to_owned();
    let life = life(Module::honest(&world), relay);
    let refusal = life.refused_early(ErrorCode::AttestationRefused);
    assert_eq!(*refusal, Refusal::OtherProgram { compiled_in: "tally" });
}
