//! Parties and platform owners that do not keep to the protocol, against real key services and a real host. What a hostile
//! host can do inside a run is in crates/enclave/tests.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::time::Duration;

use entente_e2e::{Done, Play, finish, program, stock};

/// What a run ended with.
fn code(done: &Done) -> String {
    assert_eq!(done.code, 1, "{done}");
    let facts = done.json();
    assert_eq!(facts["state"], "halted", "{done}");
    facts["code"].as_str().unwrap().to_owned()
}

/// The output of an AWS-protocol question to a party's key service: its policy, read or replaced.
fn policy(play: &Play, party: &str, dataset: &str) -> String {
    let account = entente_e2e::PARTIES.iter().find(|known| known.0 == party).unwrap().1;
    let (owner, host) =
        (format!("arn:aws:iam::{account}:root"), format!("arn:aws:iam::{account}:role/entente-host"));
    let done = play.entente(&[
        "key",
        "policy",
        "--agreement",
        "agreement.toml",
        "--inputs",
        "inputs.toml",
        "--dataset",
        dataset,
        "--owner-principal",
        &owner,
        "--host-principal",
        &host,
    ]);
    assert_eq!(done.code, 0, "{done}");
    done.stdout
}

#[test]
fn a_revoked_release_is_refused_and_can_be_given_again() {
    let play = Play::start();
    let revoked = play.owner(
        "north",
        &["inputs", "revoke", "inputs.toml", "--agreement", "agreement.toml", "--home", "north/home"],
    );
    assert_eq!(revoked.code, 0, "{revoked}");
    let done = play.run("none");
    assert_eq!(code(&done), "KeyRefused");
    assert!(!play.path("none/receipt.json").exists());
    let signed = play.sign_inputs("north", "inputs.toml", "sealed");
    assert_eq!(signed.code, 0, "{signed}");
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(play.opened("again/receipt.json"), play.opened("results/receipt.json"));
}

#[test]
fn a_key_service_that_does_not_answer() {
    let mut play = Play::start();
    play.stop_keys("south");
    let done = play.run("none");
    assert_eq!(code(&done), "KeyRefused");
    play.serve_keys("south");
    play.serve_host();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
}

/// A key service that believes another authority gives no key to an enclave under this one.
#[test]
fn a_key_service_with_another_root() {
    let mut play = Play::start();
    let hypervisor = program("entente-hypervisor-sim");
    let made = stock(play.directory(), hypervisor.to_str().unwrap(), &["ca", "--dir", "other"]);
    assert_eq!(made.code, 0, "{made}");
    // The platform owner runs the enclave under a root of its own: the agreement names another one.
    play.stop_host();
    fs::rename(play.path("ca"), play.path("true-ca")).unwrap();
    fs::rename(play.path("other"), play.path("ca")).unwrap();
    play.serve_host();
    let done = play.run("none");
    assert_eq!(code(&done), "AttestationRefused");
    play.stop_host();
    fs::rename(play.path("ca"), play.path("other")).unwrap();
    fs::rename(play.path("true-ca"), play.path("ca")).unwrap();
    play.serve_host();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
}

/// The platform owner starts another image than the agreed one under its name.
#[test]
fn another_image_under_the_agreed_name() {
    let mut play = Play::start();
    play.stop_host();
    let facts = play.entente(&["image", "measure", "auction.eif", "--json"]).json();
    let stored = play.path(&format!("host/images/{}.eif", facts["PCR0"].as_str().unwrap()));
    assert!(stored.is_file(), "{}", stored.display());
    // A static program that differs in its last bytes alone runs just as well, and is another one.
    let musl = entente_e2e::target().join("x86_64-unknown-linux-musl/enclave/entente-image-auction");
    let Ok(mut altered) = fs::read(&musl) else {
        println!("skipped: the enclave program was not built for musl");
        return;
    };
    altered.extend_from_slice(b"other");
    fs::write(play.path("altered"), altered).unwrap();
    let built = play.entente(&[
        "image",
        "build",
        "--program",
        "altered",
        "--name",
        "auction",
        "--out",
        "altered.eif",
    ]);
    assert_eq!(built.code, 0, "{built}");
    fs::copy(play.path("altered.eif"), &stored).unwrap();
    play.serve_host();
    let done = play.run("none");
    assert_eq!(code(&done), "AttestationRefused");
    fs::copy(play.path("auction.eif"), &stored).unwrap();
    play.serve_host();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
    // A party that rebuilt another image does not sign.
    fs::remove_file(play.path("agreement.toml.north.sig")).unwrap();
    let refused = play.entente(&[
        "agreement",
        "sign",
        "agreement.toml",
        "--home",
        "north/home",
        "--rebuilt",
        "altered.eif",
        "--simulated",
        "ca/root.pem",
    ]);
    assert_eq!(refused.code, 1, "{refused}");
}

/// A party with the rival's ciphertext and wrapped key: the manifest is its own, the key service is the rival's.
#[test]
fn a_rivals_wrapped_key_under_ones_own_manifest() {
    use entente_agreement::{Manifest, ManifestTerms, Namespace};
    use entente_party::{Home, read_manifest};

    let mut play = Play::copy();
    for (party, _) in entente_e2e::PARTIES {
        play.serve_keys(party);
    }
    let own = read_manifest(&play.path("sealed/bids-south.manifest.toml")).unwrap();
    let rival = read_manifest(&play.path("sealed/bids-north.manifest.toml")).unwrap();
    let home = Home::open(&play.path("south/home")).unwrap();
    let (own, rival) = (own.manifest(), rival.manifest());
    let taken = Manifest::new(&ManifestTerms {
        agreement: own.agreement(),
        dataset: own.dataset().clone(),
        owner: own.owner().clone(),
        sealing: rival.sealing(),
        format: own.format(),
        bytes: rival.size(),
        chunks: rival.chunks(),
        wrapped_key: rival.wrapped_key().to_vec(),
        commitment: *rival.commitment(),
    })
    .unwrap();
    let signature = home.signer().unwrap().sign(Namespace::Manifest, taken.bytes()).unwrap();
    fs::create_dir(play.path("taken")).unwrap();
    for entry in fs::read_dir(play.path("sealed")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        fs::copy(play.path("sealed").join(&name), play.path("taken").join(&name)).unwrap();
    }
    fs::write(play.path("taken/bids-south.manifest.toml"), taken.bytes()).unwrap();
    fs::write(play.path("taken/bids-south.manifest.toml.south.sig"), signature).unwrap();
    fs::copy(play.path("sealed/bids-north.parquet"), play.path("taken/bids-south.parquet")).unwrap();
    let written = play.entente(&[
        "inputs",
        "new",
        "--agreement",
        "agreement.toml",
        "--analysis",
        "auction",
        "--sealed",
        "taken",
        "--out",
        "taken.toml",
    ]);
    assert_eq!(written.code, 0, "{written}");

    // Nobody honest signs a second set; here all sign this one first, as in a round that began with it.
    let set = entente_party::read_inputs(&play.path("taken.toml")).unwrap();
    for (party, _) in entente_e2e::PARTIES {
        let home = Home::open(&play.path(&format!("{party}/home"))).unwrap();
        let signature = home.signer().unwrap().sign(Namespace::Inputs, set.bytes()).unwrap();
        fs::write(play.path(&format!("taken.toml.{party}.sig")), signature).unwrap();
    }
    play.serve_host();
    let at = |arguments: &[&str]| finish(play.at_host(arguments), Duration::from_secs(60));
    let pushed = at(&[
        "host",
        "push",
        "--agreement",
        "agreement.toml",
        "--image",
        "auction.eif",
        "--inputs",
        "taken.toml",
        "--sealed",
        "taken",
    ]);
    assert_eq!(pushed.code, 0, "{pushed}");
    let done = at(&[
        "run",
        "start",
        "--agreement",
        "agreement.toml",
        "--inputs",
        "taken.toml",
        "--wait",
        "--out",
        "none",
        "--json",
    ]);
    assert_eq!(code(&done), "KeyRefused");
    // The honest set is as it was.
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(play.opened("again/receipt.json"), play.opened("results/receipt.json"));
}

/// A policy that pins another agreement's PCR16 releases nothing, and the audit says what a policy lets out too much.
#[test]
fn policies_that_pin_something_else() {
    let play = Play::copy();
    let right = policy(&play, "north", "bids-north");
    let audit = |text: &str| {
        fs::write(play.path("policy.json"), text).unwrap();
        play.entente(&[
            "key",
            "audit",
            "policy.json",
            "--agreement",
            "agreement.toml",
            "--inputs",
            "inputs.toml",
            "--dataset",
            "bids-north",
            "--owner-principal",
            "arn:aws:iam::222222222222:root",
            "--host-principal",
            "arn:aws:iam::222222222222:role/entente-host",
            "--json",
        ])
    };
    let good = audit(&right);
    assert_eq!((good.code, good.json()["findings"].as_array().unwrap().len()), (0, 0), "{good}");
    for pcr in ["PCR0", "PCR16", "PCR17"] {
        let at = right.find(&format!("RecipientAttestation:{pcr}\"")).unwrap();
        let digest = right[at..].split('"').find(|word| word.len() == 96).unwrap();
        let place = at + right[at..].find(digest).unwrap();
        let mut text = right.clone();
        text.replace_range(place..place + 96, &"a".repeat(96));
        let found = audit(&text);
        assert_eq!(found.code, 1, "{pcr}: {found}");
        assert!(!found.json()["findings"].as_array().unwrap().is_empty());
    }
}

/// An owner's own key service with a policy for another agreement, image or input set: the key stays where it is.
#[test]
fn a_policy_for_another_enclave_releases_nothing() {
    use entente_party::{KeyPolicies as _, KmsCredentials, KmsKeyService};

    let play = Play::start();
    let agreement = entente_party::read_agreement(&play.path("agreement.toml")).unwrap();
    let key = agreement.dataset(&"bids-north".parse().unwrap()).unwrap().key();
    let profile = String::from_utf8(play.read("north/keys/owner.aws")).unwrap();
    let value = |name: &str| {
        let line = profile.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.unwrap().to_owned()
    };
    let service = KmsKeyService::at(
        &value("endpoint_url"),
        KmsCredentials::Static {
            access_key_id: value("aws_access_key_id"),
            secret_access_key: value("aws_secret_access_key"),
        },
    );
    let right = service.policy(key).unwrap();
    for (index, pcr) in ["PCR0", "PCR16", "PCR17"].into_iter().enumerate() {
        let at = right.find(&format!("RecipientAttestation:{pcr}\"")).unwrap();
        let digest = right[at..].split('"').find(|word| word.len() == 96).unwrap();
        let place = at + right[at..].find(digest).unwrap();
        let mut wrong = right.clone();
        wrong.replace_range(place..place + 96, &"a".repeat(96));
        service.put_policy(key, &wrong).unwrap();
        let done = play.run(&format!("none-{index}"));
        assert_eq!(code(&done), "KeyRefused", "{pcr}");
    }
    service.put_policy(key, &right).unwrap();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
}
