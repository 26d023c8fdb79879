//! Before signing an agreement.

use crate::world::{World, name, now};
use entente_agreement::{Agreement, ApprovedAgreement, Namespace, PinError};
use entente_attestation::{Digest384, UnixTime};
use entente_party::{
    ImageAssurance, ReviewError, ReviewTerms, SimulatedRoot, approve, read_approvals, review,
};
use std::fs;

#[test]
fn everybody_signs_what_everybody_reviewed() {
    let (world, approved) = World::approved();
    assert_eq!(approved.agreement().digest(), world.agreement.digest());
    assert!(world.home("north").journal().unwrap().approved(&world.agreement.digest()));
    // Signing again repeats it.
    let review = review(world.home("north"), &world.agreement, &world.terms()).unwrap();
    let file = approve(world.home("north"), &review, &world.agreement_file, now()).unwrap();
    assert_eq!(file, world.path("agreement.toml.north.sig"));
    assert_eq!(world.home("north").journal().unwrap().entries().len(), 1);
    let approvals = read_approvals(&world.agreement_file).unwrap();
    ApprovedAgreement::verify(world.agreement.clone(), &approvals).unwrap();
    let key = world.home("north").sign_key();
    key.verify(Namespace::Agreement, world.agreement.bytes(), &fs::read(file).unwrap()).unwrap();
}

fn refused(world: &World, terms: &ReviewTerms<'_>) -> ReviewError {
    review(world.home("north"), &world.agreement, terms).map(|_| ()).unwrap_err()
}

#[test]
fn each_step_refuses() {
    let mut world = World::new();
    let text = fs::read_to_string(&world.agreement_file).unwrap();

    let mut terms = world.terms();
    terms.simulated = SimulatedRoot::Refuse;
    assert!(matches!(refused(&world, &terms), ReviewError::SimulatedRoot { .. }));
    terms.simulated = SimulatedRoot::Accept { ca_sha256: [0; 32] };
    assert!(matches!(refused(&world, &terms), ReviewError::SimulatedRoot { .. }));

    let mut terms = world.terms();
    terms.images = ImageAssurance::Rebuilt(Vec::new());
    assert!(
        matches!(refused(&world, &terms), ReviewError::ImageNotRebuilt { image } if image == name("auction"))
    );

    let mut terms = world.terms();
    terms.at = UnixTime::parse_rfc3339("2027-01-01T00:00:00Z").unwrap();
    assert!(matches!(refused(&world, &terms), ReviewError::Over { .. }));

    // The key block of another party replaced: the attack of §11.
    let stranger = World::new();
    let ours = world.home("south").sign_key().to_openssh();
    let theirs = stranger.home("south").sign_key().to_openssh();
    world.agreement = Agreement::parse(text.replace(&ours, &theirs).as_bytes()).unwrap();
    assert!(matches!(
        refused(&world, &world.terms()),
        ReviewError::Unpinned(PinError::OtherKey { party, .. }) if party == name("south")
    ));

    let theirs = stranger.home("north").result_key();
    let replaced = text.replace(world.home("north").result_key(), theirs);
    world.agreement = Agreement::parse(replaced.as_bytes()).unwrap();
    assert!(matches!(refused(&world, &world.terms()), ReviewError::OwnBlock(_)));

    let previous = Digest384::of(b"previous");
    let replaced = text.replace("supersedes = \"\"", &format!("supersedes = \"{previous}\""));
    world.agreement = Agreement::parse(replaced.as_bytes()).unwrap();
    assert!(matches!(
        refused(&world, &world.terms()),
        ReviewError::PreviousMissing { previous: named } if named == previous
    ));
    assert!(!world.home("north").journal().unwrap().approved(&world.agreement.digest()));
}
