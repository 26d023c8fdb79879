//! Agreements, approvals, input sets, manifests and requests that are each wrong in one thing.

use entente_agreement::{ApprovalError, InputsError, Namespace, SignatureError};
use entente_channel::{Answer, Ask, Documents, ErrorCode, PartySignature};
use entente_enclave::{ListFault, NoAnswer, Refusal};

use crate::module::Module;
use crate::relay::Relay;
use crate::world::{ANALYSIS, Content, Party, World, name};
use crate::{Life, WORLD, life, life_with};

/// A life in which the host hands over these documents instead of the true ones.
fn with(world: &World, change: impl FnOnce(&mut Documents)) -> Life {
    let mut relay = Relay::honest(world);
    change(&mut relay.documents);
    life(Module::honest(world), relay)
}

fn agreement_refused(change: impl FnOnce(&mut Documents)) -> Refusal {
    with(&WORLD, change).refused_early(ErrorCode::AgreementRefused).clone()
}

fn inputs_refused(change: impl FnOnce(&mut Documents)) -> Refusal {
    with(&WORLD, change).refused_early(ErrorCode::InputsRefused).clone()
}

fn signature_of<'d>(list: &'d mut [PartySignature], party: &str) -> &'d mut PartySignature {
    list.iter_mut().find(|entry| entry.party == party).unwrap()
}

#[test]
fn an_answer_to_another_question_is_no_documents() {
    for answer in [Answer::Taken, Answer::Chunk { bytes: vec![1] }] {
        let mut relay = Relay::honest(&WORLD);
        relay.mischief = Box::new(move |_, _| Some(answer.clone()));
        let life = life(Module::honest(&WORLD), relay);
        let refusal = life.refused_early(ErrorCode::AgreementRefused);
        assert_eq!(*refusal, Refusal::Documents(NoAnswer::OtherQuestion));
        assert_eq!(life.asked_module, [], "nothing is asked of the module before the agreement is approved");
    }
}

#[test]
fn an_agreement_with_another_byte_has_no_approvals() {
    // A comment means nothing to the parser and everything to a signature.
    let refusal = agreement_refused(|documents| {
        let text = String::from_utf8(documents.agreement.clone()).unwrap();
        documents.agreement = text.replace("\n\n[[image]]", "\n\n# reviewed\n[[image]]").into_bytes();
    });
    let Refusal::Approvals(ApprovalError::Signature { party, .. }) = refusal else { panic!("{refusal:?}") };
    assert_eq!(party, name("north"));
    let refusal = agreement_refused(|documents| documents.agreement.push(b'\n'));
    assert!(matches!(refusal, Refusal::Agreement(_)), "{refusal:?}");
    let refusal = agreement_refused(|documents| documents.agreement.truncate(1000));
    assert!(matches!(refusal, Refusal::Agreement(_)), "{refusal:?}");
    // Bytes of another kind never parse as an agreement.
    let refusal = agreement_refused(|documents| documents.agreement.clone_from(&documents.inputs));
    assert!(matches!(refusal, Refusal::Agreement(_)), "{refusal:?}");
}

#[test]
fn an_agreement_whose_key_block_was_replaced_lacks_that_partys_approval() {
    // The host puts its own key in the place of south's and signs with it: everybody else signed the genuine text.
    let forger = Party::new("south");
    let refusal = agreement_refused(|documents| {
        let text = String::from_utf8(documents.agreement.clone()).unwrap();
        let genuine = WORLD.agreement.party(&name("south")).unwrap().sign_key().to_openssh();
        let text = text.replace(&genuine, &forger.public_key());
        documents.agreement = text.into_bytes();
        signature_of(&mut documents.approvals, "south").armored =
            forger.sign(Namespace::Agreement, &documents.agreement);
    });
    assert_eq!(
        refusal,
        Refusal::Approvals(ApprovalError::Signature {
            party: name("north"),
            error: SignatureError::Mismatch
        })
    );
}

#[test]
fn every_approval_counts() {
    let refusal = agreement_refused(|documents| {
        documents.approvals.pop();
    });
    assert_eq!(refusal, Refusal::Approvals(ApprovalError::Missing { party: name("harbour") }));
    let refusal = agreement_refused(|documents| {
        let armored = signature_of(&mut documents.approvals, "north").armored.clone();
        signature_of(&mut documents.approvals, "south").armored = armored;
    });
    assert!(
        matches!(&refusal, Refusal::Approvals(ApprovalError::Signature { party, .. }) if *party == name("south")),
        "{refusal:?}"
    );
    // A signature of the right bytes by the right key for another purpose.
    let refusal = agreement_refused(|documents| {
        let armored = WORLD.party("south").sign(Namespace::Manifest, &documents.agreement);
        signature_of(&mut documents.approvals, "south").armored = armored;
    });
    assert!(matches!(refusal, Refusal::Approvals(ApprovalError::Signature { .. })), "{refusal:?}");
    let refusal = agreement_refused(|documents| {
        let mut extra = documents.approvals.first().unwrap().clone();
        extra.party = "mallory".to_owned();
        documents.approvals.push(extra);
    });
    assert_eq!(refusal, Refusal::Approvals(ApprovalError::NotAParty { name: name("mallory") }));
    let refusal = agreement_refused(|documents| {
        let twice = documents.approvals.first().unwrap().clone();
        documents.approvals.push(twice);
    });
    assert_eq!(refusal, Refusal::ApprovalList(ListFault::Twice));
    let refusal =
        agreement_refused(|documents| documents.approvals.first_mut().unwrap().party = "../north".to_owned());
    assert_eq!(refusal, Refusal::ApprovalList(ListFault::NotAName));
}

#[test]
fn the_analysis_is_one_of_the_agreement() {
    for wrong in ["tally", "tally-autumn", "", "Tally", "tally-spring "] {
        let refusal = agreement_refused(|documents| documents.analysis = wrong.to_owned());
        assert_eq!(refusal, Refusal::UnknownAnalysis);
    }
}

#[test]
fn parameters_that_the_program_does_not_know_are_refused() {
    let edit = |text: String| text.replace("[analysis.parameters]\n", "[analysis.parameters]\nnoise = 1\n");
    let world = World::with(edit, |_| Content::Genuine);
    let life = with(&world, |_| {});
    let refusal = life.refused_early(ErrorCode::AgreementRefused);
    assert!(matches!(refusal, Refusal::Parameters(_)), "{refusal:?}");
}

#[test]
fn memory_is_what_was_agreed() {
    let life = life_with(Module::honest(&WORLD), Relay::honest(&WORLD), 255);
    let refusal = life.refused_early(ErrorCode::AgreementRefused);
    assert_eq!(*refusal, Refusal::Memory { needed_mib: 256, available_mib: 255 });
}

#[test]
fn another_agreements_inputs_are_refused() {
    let other = World::new();
    // The other agreement's set, manifests and signatures, all genuine, but of other parties and another agreement.
    let refusal = inputs_refused(|documents| {
        let others = other.documents();
        documents.inputs = others.inputs;
        documents.input_signatures = others.input_signatures;
        documents.manifests = others.manifests;
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::SetAgreement { .. })), "{refusal:?}");
    // A manifest of another agreement, signed by the right owner's key, under a set that names it.
    let mut world = World::new();
    let mut foreign = world.sealed.get(&name("bids-north")).unwrap().clone();
    foreign.manifest = world.manifest_of_agreement(&foreign, entente_attestation::Digest384::of(b"another"));
    world.sealed.insert(name("bids-north"), foreign);
    world.set = world.set_of_round(1);
    let life = with(&world, |_| {});
    let refusal = life.refused_early(ErrorCode::InputsRefused);
    assert!(matches!(refusal, Refusal::Inputs(InputsError::ManifestAgreement { .. })), "{refusal:?}");
}

#[test]
fn a_second_input_set_is_not_authorized_by_the_first() {
    // A colluder resealed its own data; the honest owners have signed the set before.
    let resealed = WORLD.seal("bids-south", None);
    let refusal = inputs_refused(|documents| {
        let mut sealed = WORLD.sealed.clone();
        sealed.insert(name("bids-south"), resealed.clone());
        let second = WORLD.set_with(&sealed, 1);
        documents.inputs = second.bytes().to_vec();
        *documents.manifests.get_mut(1).unwrap() = WORLD.signed_manifest(&resealed.manifest);
        let armored = WORLD.party("south").sign(Namespace::Inputs, second.bytes());
        signature_of(&mut documents.input_signatures, "south").armored = armored;
    });
    assert!(
        matches!(&refusal, Refusal::Inputs(InputsError::SetSignature { party, .. }) if *party == name("harbour")),
        "{refusal:?}"
    );
    // The signed set of round 1, and a manifest that is not in it.
    let refusal = inputs_refused(|documents| {
        *documents.manifests.get_mut(1).unwrap() = WORLD.signed_manifest(&resealed.manifest);
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::ManifestDigest { .. })), "{refusal:?}");
    // The set of another round, with the signatures of the first.
    let refusal = inputs_refused(|documents| documents.inputs = WORLD.set_of_round(2).bytes().to_vec());
    assert!(matches!(refusal, Refusal::Inputs(InputsError::SetSignature { .. })), "{refusal:?}");
    // A round that was not agreed, though all signed it.
    let mut world = World::new();
    world.set = world.set_of_round(3);
    let life = with(&world, |_| {});
    let refusal = life.refused_early(ErrorCode::InputsRefused);
    assert_eq!(*refusal, Refusal::Inputs(InputsError::SetRound { rounds: 2, found: 3 }));
}

#[test]
fn a_rivals_file_does_not_stand_under_ones_own_name() {
    // South's sealed file under a manifest for north's slot, signed by south.
    let refusal = inputs_refused(|documents| {
        let south = documents.manifests.get(1).unwrap().clone();
        let slot = documents.manifests.first_mut().unwrap();
        slot.bytes = south.bytes;
        slot.armored = south.armored;
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::ManifestDigest { .. })), "{refusal:?}");
    // North's manifest, genuine, with a rival's signature.
    let refusal = inputs_refused(|documents| {
        let first = documents.manifests.first_mut().unwrap();
        first.armored = WORLD.party("south").sign(Namespace::Manifest, &first.bytes);
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::ManifestSignature { .. })), "{refusal:?}");
}

#[test]
fn every_owner_signs_the_set_and_every_manifest_is_there() {
    let refusal = inputs_refused(|documents| {
        documents.input_signatures.remove(1);
    });
    assert_eq!(refusal, Refusal::Inputs(InputsError::SetSignatureMissing { party: name("south") }));
    let refusal = inputs_refused(|documents| {
        documents.manifests.remove(1);
    });
    assert_eq!(refusal, Refusal::Inputs(InputsError::ManifestMissing { dataset: name("bids-south") }));
    let refusal = inputs_refused(|documents| {
        let twice = documents.manifests.first().unwrap().clone();
        documents.manifests.push(twice);
    });
    assert_eq!(refusal, Refusal::ManifestList(ListFault::Twice));
    let refusal = inputs_refused(|documents| documents.manifests.first_mut().unwrap().bytes.push(b'\n'));
    assert!(matches!(refusal, Refusal::Manifest(_)), "{refusal:?}");
    let refusal = inputs_refused(|documents| documents.inputs.insert(0, b'#'));
    assert!(matches!(refusal, Refusal::InputSet(_)), "{refusal:?}");
    // A required dataset that its owner, and everybody, signed as absent.
    let absent = |dataset: &str| if dataset == "bids-north" { Content::Absent } else { Content::Genuine };
    let world = World::with(|text| text, absent);
    let life = with(&world, |_| {});
    let refusal = life.refused_early(ErrorCode::InputsRefused);
    assert_eq!(*refusal, Refusal::Inputs(InputsError::DatasetAbsent { dataset: name("bids-north") }));
    // The host leaves out what is present.
    let refusal = inputs_refused(|documents| {
        let mut sealed = WORLD.sealed.clone();
        sealed.remove(&name("note"));
        documents.inputs = WORLD.set_with(&sealed, 1).bytes().to_vec();
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::SetSignature { .. })), "{refusal:?}");
}

#[test]
fn requests_are_where_the_agreement_wants_them() {
    let refusal = inputs_refused(|documents| documents.request = Some(WORLD.request(1, &["north"])));
    assert_eq!(refusal, Refusal::RequestUnexpected);

    let edit = |text: String| text.replace("authorize = \"inputs\"", "authorize = \"request\"");
    let world = World::with(edit, |_| Content::Genuine);
    let refused = |change: &dyn Fn(&mut Documents)| {
        let life = with(&world, change);
        life.refused_early(ErrorCode::InputsRefused).clone()
    };
    assert_eq!(refused(&|_| {}), Refusal::Inputs(InputsError::RequestMissing));
    let refusal = refused(&|documents| documents.request = Some(world.request(1, &["north", "south"])));
    assert_eq!(refusal, Refusal::Inputs(InputsError::RequestSignatureMissing { party: name("harbour") }));
    let everybody = ["north", "south", "harbour"];
    let refusal = refused(&|documents| {
        let mut request = world.request(1, &everybody);
        request.bytes = world.request(2, &everybody).bytes;
        documents.request = Some(request);
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::RequestSignature { .. })), "{refusal:?}");
    let refusal = refused(&|documents| {
        documents.request = Some(WORLD.request(1, &everybody));
    });
    assert!(matches!(refusal, Refusal::Inputs(InputsError::RequestAgreement { .. })), "{refusal:?}");
    let refusal = refused(&|documents| {
        documents.request = Some(world.request_with_parameter(&everybody));
    });
    assert_eq!(refusal, Refusal::RequestParameters);
}

#[test]
fn a_host_that_goes_away_leaves_nothing() {
    let mut relay = Relay::honest(&WORLD);
    relay.mischief = Box::new(|question, answer| (*question != Ask::Documents).then_some(answer));
    let life = life(Module::honest(&WORLD), relay);
    assert_eq!(life.end.unwrap_err().code(), ErrorCode::AgreementRefused);
    assert_eq!(life.seen.questions, ["documents"]);
    assert_eq!(ANALYSIS, WORLD.documents().analysis);
}
