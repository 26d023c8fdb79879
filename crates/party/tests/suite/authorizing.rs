//! Input sets.

use crate::world::{HOST, OWNER, World, name, now};
use entente_agreement::{InputEntry, InputSet, InputsError, SignedManifest, check_set};
use entente_party::{
    AuthorizationError, KeyServiceError, authorize, propose_inputs, revoke, revoke_agreement,
};
use entente_release::policy::KeyPolicy;
use entente_release::{Release, RoundState};
use std::fs;
use std::path::PathBuf;

fn file(world: &World, set: &InputSet) -> PathBuf {
    let path = world.path("inputs.toml");
    fs::write(&path, set.bytes()).unwrap();
    path
}

const NORTH_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-123456789001";

#[test]
fn every_owner_signs_and_the_keys_are_released() {
    let (world, approved) = World::approved();
    let manifests = world.manifests(&approved);
    let set = propose_inputs(&world.agreement, &name("auction"), 1, &manifests).unwrap();
    assert_eq!(set.dataset(&name("reserve")).unwrap().manifest(), None);
    let file = file(&world, &set);
    let release = world.release();
    for (party, datasets) in
        [("north", vec![name("bids-north")]), ("south", vec![name("bids-south")]), ("seller", vec![])]
    {
        let done = authorize(world.home(party), &approved, &set, &manifests, &file, &release, now()).unwrap();
        assert_eq!((done.released, done.repeated), (datasets, false));
        assert_eq!(done.signature, world.path(&format!("inputs.toml.{party}.sig")));
    }
    let policy = KeyPolicy::parse(&world.keys.policies.borrow()[NORTH_KEY]).unwrap();
    assert_eq!(policy.round_state(&set), RoundState::Installed);
    // The agreement's own check takes it all.
    let signatures = entente_party::read_signatures(&file).unwrap();
    let inputs = entente_agreement::SignedInputs::new(set.clone(), signatures, manifests.clone());
    entente_agreement::VerifiedInputs::verify(&approved, &name("auction"), inputs, None).unwrap();
    // The same set, as often as one likes.
    let again = authorize(world.home("north"), &approved, &set, &manifests, &file, &release, now()).unwrap();
    assert!(again.repeated);
    // Revoked: the policy is as before.
    let changed = revoke(world.home("north"), &world.agreement, &set, &world.keys, now()).unwrap();
    assert_eq!(changed, [name("bids-north")]);
    let policy = KeyPolicy::parse(&world.keys.policies.borrow()[NORTH_KEY]).unwrap();
    assert_eq!(policy.round_state(&set), RoundState::Free);
    assert_eq!(
        revoke_agreement(world.home("south"), &world.agreement, &world.keys).unwrap(),
        [name("bids-south")]
    );
}

#[test]
fn a_second_set_for_a_round_is_refused_by_journal_and_policy() {
    let (world, approved) = World::approved();
    let manifests = world.manifests(&approved);
    let first = propose_inputs(&world.agreement, &name("auction"), 1, &manifests).unwrap();
    let release = world.release();
    let north = world.home("north");
    authorize(north, &approved, &first, &manifests, &file(&world, &first), &release, now()).unwrap();

    // South reseals; the host proposes a set with the new manifest.
    fs::rename(world.path("sealed"), world.path("before")).unwrap();
    let second_manifests = world.manifests(&approved);
    let second = propose_inputs(&world.agreement, &name("auction"), 1, &second_manifests).unwrap();
    let attempt =
        || authorize(north, &approved, &second, &second_manifests, &file(&world, &second), &release, now());
    assert!(matches!(
        attempt(),
        Err(AuthorizationError::OtherSetSigned { round: 1, before }) if before == first.digest()
    ));
    // A restored backup of the journal has forgotten; the key policy has not.
    let journal = north.directory().join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let restored: String =
        text.lines().filter(|line| !line.contains("authorized")).map(|line| format!("{line}\n")).collect();
    fs::write(&journal, restored).unwrap();
    assert!(matches!(attempt(), Err(AuthorizationError::OtherSetInstalled { round: 1, .. })));
    // Another round is another matter, once the first one's release is named.
    let third = propose_inputs(&world.agreement, &name("auction"), 2, &second_manifests).unwrap();
    let mut release = world.release();
    let denied =
        authorize(north, &approved, &third, &second_manifests, &file(&world, &third), &release, now());
    assert!(matches!(denied, Err(AuthorizationError::Excess { .. })));
    release.standing =
        vec![Release::of(&world.agreement, &first, &name("bids-north"), &HOST.parse().unwrap()).unwrap()];
    authorize(north, &approved, &third, &second_manifests, &file(&world, &third), &release, now()).unwrap();
    // There is no round 3.
    assert!(matches!(
        propose_inputs(&world.agreement, &name("auction"), 3, &second_manifests),
        Err(AuthorizationError::Inputs(InputsError::SetRound { rounds: 2, found: 3 }))
    ));
}

#[test]
fn what_does_not_fit_is_not_signed() {
    let (world, approved) = World::approved();
    let manifests = world.manifests(&approved);
    let set = propose_inputs(&world.agreement, &name("auction"), 1, &manifests).unwrap();
    let north = world.home("north");
    let release = world.release();
    let attempt = |set: &InputSet, manifests: &_| {
        authorize(north, &approved, set, manifests, &file(&world, set), &release, now()).unwrap_err()
    };

    let mut without = manifests.clone();
    without.remove(&name("bids-south"));
    assert!(matches!(
        attempt(&set, &without),
        AuthorizationError::Inputs(InputsError::ManifestMissing { .. })
    ));
    // A rival's manifest in the slot, signed by the wrong key.
    let mut forged = manifests.clone();
    let south = forged[&name("bids-south")].manifest().clone();
    let signature =
        north.signer().unwrap().sign(entente_agreement::Namespace::Manifest, south.bytes()).unwrap();
    forged.insert(name("bids-south"), SignedManifest::new(south, signature));
    assert!(matches!(
        attempt(&set, &forged),
        AuthorizationError::Inputs(InputsError::ManifestSignature { .. })
    ));
    // South's manifest in north's slot.
    let swapped = InputSet::new(
        world.agreement.digest(),
        &name("auction"),
        1,
        vec![
            InputEntry::present(
                name("bids-north"),
                name("north"),
                manifests[&name("bids-south")].manifest().digest(),
            ),
            InputEntry::present(
                name("bids-south"),
                name("south"),
                manifests[&name("bids-south")].manifest().digest(),
            ),
            InputEntry::absent(name("reserve"), name("seller")),
        ],
    )
    .unwrap();
    let analysis = world.agreement.analysis(&name("auction")).unwrap();
    check_set(&world.agreement, analysis, &swapped).unwrap();
    assert!(matches!(
        attempt(&swapped, &manifests),
        AuthorizationError::Inputs(InputsError::ManifestDigest { .. })
    ));
    // An own manifest that this party did not make.
    fs::write(north.directory().join("journal"), {
        let text = fs::read_to_string(north.directory().join("journal")).unwrap();
        text.lines()
            .filter(|line| !line.contains("sealed"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    })
    .unwrap();
    assert!(matches!(
        attempt(&set, &manifests),
        AuthorizationError::ForeignManifest { dataset } if dataset == name("bids-north")
    ));
    assert_eq!(entente_party::read_signatures(&world.path("inputs.toml")).unwrap().len(), 0);
    assert!(world.keys.policies.borrow().is_empty());
}

#[test]
fn a_policy_that_allows_more_stops_everything() {
    let (world, approved) = World::approved();
    let manifests = world.manifests(&approved);
    let set = propose_inputs(&world.agreement, &name("auction"), 1, &manifests).unwrap();
    let file = file(&world, &set);
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Principal":{{"AWS":"{OWNER}"}},"Action":"kms:*","Resource":"*"}},
            {{"Effect":"Allow","Principal":{{"AWS":"{HOST}"}},"Action":"kms:Decrypt","Resource":"*"}}]}}"#
    );
    world.keys.policies.borrow_mut().insert(NORTH_KEY.to_owned(), policy);
    let north = world.home("north");
    let attempt = || authorize(north, &approved, &set, &manifests, &file, &world.release(), now());
    assert!(matches!(attempt(), Err(AuthorizationError::Excess { findings, .. }) if findings.len() == 1));
    assert!(entente_party::read_signatures(&file).unwrap().is_empty());
    assert_eq!(north.journal().unwrap().authorized(&world.agreement.digest(), &name("auction"), 1), None);

    // A key service that fails after the signature: the set is signed once, and repeating completes it.
    world.keys.policies.borrow_mut().clear();
    *world.keys.fails.borrow_mut() = Some("PutKeyPolicy");
    assert!(matches!(
        attempt(),
        Err(AuthorizationError::KeyService(KeyServiceError::Unreachable { operation: "PutKeyPolicy", .. }))
    ));
    *world.keys.fails.borrow_mut() = None;
    *world.keys.deaf.borrow_mut() = Some(());
    assert!(matches!(attempt(), Err(AuthorizationError::NotInstalled { .. })));
    *world.keys.deaf.borrow_mut() = None;
    let done = attempt().unwrap();
    assert_eq!((done.released, done.repeated), (vec![name("bids-north")], true));
}
