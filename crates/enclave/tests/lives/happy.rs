//! Lives that end with results.

use entente_attestation::{Digest384, RequestBinding, TrustAnchor, UnixTime};
use entente_channel::Ask;
use entente_nsm::AttestationRequest;
use entente_nsm::codec::Request;
use entente_receipt::verify;
use entente_sealing::result::{ResultArchive, Verdict};

use crate::life;
use crate::module::Module;
use crate::relay::{Relay, Seen};
use crate::world::{Content, NOW, World, name};

/// The files of one recipient's result.
pub(crate) fn open(world: &World, seen: &Seen, recipient: &str) -> Vec<(String, String)> {
    let sealed = seen.files.get(&format!("tally.{recipient}.age")).unwrap();
    let archive = world.party(recipient).result.open(sealed, 1 << 20).unwrap();
    let contents = ResultArchive::parse(&archive).unwrap();
    assert_eq!(contents.binding.verdict, Verdict::Released);
    assert_eq!(contents.binding.inputs, world.set.digest());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    contents.files.iter().map(|file| (file.name().to_owned(), text(file.bytes()))).collect()
}

#[test]
fn everybody_gets_a_result_and_the_host_learns_nothing() {
    let world = World::new();
    let life = life(Module::honest(&world), Relay::honest(&world));
    assert_eq!(life.end, Ok(()));
    let size = |file: &str| life.seen.files.get(file).unwrap().len();
    let (north, harbour) = (size("tally.north.age"), size("tally.harbour.age"));
    assert_eq!(
        life.seen.questions,
        [
            "documents".to_owned(),
            "key bids-north".to_owned(),
            "key bids-south".to_owned(),
            "key note".to_owned(),
            "digests bids-north".to_owned(),
            "chunk bids-north 0".to_owned(),
            "digests bids-south".to_owned(),
            "chunk bids-south 0".to_owned(),
            "digests note".to_owned(),
            "chunk note 0".to_owned(),
            "chunk note 1".to_owned(),
            "chunk note 2".to_owned(),
            format!("deliver tally.north.age {north}"),
            format!("piece {north}"),
            format!("deliver tally.harbour.age {harbour}"),
            format!("piece {harbour}"),
            "receipt".to_owned(),
            "finished".to_owned(),
        ]
    );
    let tally = "dataset,state,size\nbids-north,table,3\nbids-south,table,3\nnote,blob,2560000\n";
    for recipient in ["north", "harbour"] {
        let files = open(&world, &life.seen, recipient);
        assert_eq!(files.first(), Some(&("tally.csv".to_owned(), tally.to_owned())));
        assert_eq!(files.last(), Some(&("notices.csv".to_owned(), "dataset,reason,count,rows\n".to_owned())));
    }
    // Nothing that a host stores or relays holds a word of anybody's data.
    for file in life.seen.files.values().chain(life.seen.receipt.as_ref()) {
        assert!(!file.windows(5).any(|window| window == b"villa"));
    }
}

#[test]
fn the_enclave_asks_its_module_for_exactly_what_the_protocol_says() {
    let world = World::new();
    let life = life(Module::honest(&world), Relay::honest(&world));
    let kind = |request: &Request| match request {
        Request::Attestation(AttestationRequest { user_data, nonce, public_key }) => format!(
            "document {}{}{}",
            user_data.as_ref().map_or("", |_| "u"),
            nonce.as_ref().map_or("", |_| "n"),
            public_key.as_ref().map_or("", |_| "k")
        ),
        Request::DescribePcr { index } => format!("describe {index}"),
        Request::ExtendPcr { index, .. } => format!("extend {index}"),
        Request::LockPcr { index } => format!("lock {index}"),
        other => format!("{other:?}"),
    };
    let expected = [
        "document n",
        "describe 16",
        "extend 16",
        "lock 16",
        "describe 16",
        "describe 17",
        "extend 17",
        "lock 17",
        "describe 17",
        "document k",
        "document k",
        "document k",
        "document u",
    ];
    assert_eq!(life.asked_module.iter().map(kind).collect::<Vec<_>>(), expected);
    let extended: Vec<&[u8]> = life
        .asked_module
        .iter()
        .filter_map(|request| match request {
            Request::ExtendPcr { data, .. } => Some(data.as_slice()),
            _ => None,
        })
        .collect();
    assert_eq!(extended, [world.agreement.digest().as_bytes(), world.set.digest().as_bytes()]);
}

#[test]
fn the_key_question_is_that_of_the_slot() {
    let world = World::new();
    let life = life(Module::honest(&world), Relay::honest(&world));
    let Some(Ask::ReleaseKey { dataset, key_id, ciphertext_blob, encryption_context, .. }) =
        life.seen.key_questions.get(1)
    else {
        panic!("no second question for a key");
    };
    assert_eq!(dataset, "bids-south");
    assert_eq!(key_id, "arn:aws:kms:eu-central-1:111122223333:key/bids-south");
    assert_eq!(ciphertext_blob, b"K of bids-south, wrapped");
    let context: Vec<(&str, &str)> =
        encryption_context.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let sealing = world.sealed.get(&name("bids-south")).unwrap().manifest.sealing().to_string();
    let agreement = world.agreement.digest().to_string();
    assert_eq!(
        context,
        [
            ("entente-agreement", agreement.as_str()),
            ("entente-dataset", "bids-south"),
            ("entente-sealing", sealing.as_str()),
        ]
    );
}

#[test]
fn the_receipt_verifies_and_proves_each_result() {
    let world = World::new();
    let life = life(Module::honest(&world), Relay::honest(&world));
    let receipt = life.seen.receipt.as_ref().unwrap();
    let anchor = TrustAnchor::simulated(world.hypervisor.root_der()).unwrap();
    let verified = verify(receipt, &world.agreement, &anchor).unwrap();
    assert_eq!(verified.made_at(), UnixTime::from_millis(NOW));
    for recipient in ["north", "harbour"] {
        let sealed = life.seen.files.get(&format!("tally.{recipient}.age")).unwrap();
        let archive = world.party(recipient).result.open(sealed, 1 << 20).unwrap();
        let file = verified.result(&name("tally"), &name(recipient)).unwrap();
        assert_eq!((file.sealed, file.opened), (Digest384::of(sealed), Digest384::of(&archive)));
    }
}

#[test]
fn a_rerun_gives_the_same_archives() {
    let world = World::new();
    let archives = || {
        let life = life(Module::honest(&world), Relay::honest(&world));
        let open = |recipient: &str| {
            let sealed = life.seen.files.get(&format!("tally.{recipient}.age")).unwrap();
            world.party(recipient).result.open(sealed, 1 << 20).unwrap().to_vec()
        };
        (["north", "harbour"].map(open), life.seen.files)
    };
    let (first, sealed) = archives();
    let (second, sealed_again) = archives();
    assert_eq!(first, second);
    assert_ne!(sealed, sealed_again, "age draws a file key of its own each time");
}

#[test]
fn a_dataset_that_does_not_open_is_void_and_only_its_owner_is_told() {
    let cases = [
        ("bids-north", Content::Raw(b"PAR1 but not really PAR1".to_vec())),
        ("bids-north", Content::Raw(Vec::from([0; 2000]))),
        ("bids-north", Content::Raw(b"PARE".to_vec())),
    ];
    for (dataset, content) in cases {
        let Content::Raw(raw) = content else { continue };
        let world = World::with(
            |text| text,
            |name| if name == dataset { Content::Raw(raw.clone()) } else { Content::Genuine },
        );
        let life = life(Module::honest(&world), Relay::honest(&world));
        assert_eq!(life.end, Ok(()));
        let tally = "dataset,state,size\nbids-north,void,0\nbids-south,table,3\nnote,blob,2560000\n";
        let told = |recipient| {
            let files = open(&world, &life.seen, recipient);
            assert_eq!(files.first().unwrap().1, tally);
            files.last().unwrap().1.clone()
        };
        assert_eq!(told("north"), "dataset,reason,count,rows\nbids-north,dataset-does-not-open,,\n");
        assert_eq!(told("harbour"), "dataset,reason,count,rows\n");
    }
}

#[test]
fn what_is_absent_is_neither_asked_for_nor_fetched() {
    let world = World::with(
        |text| text,
        |name| if name == "bids-north" { Content::Genuine } else { Content::Absent },
    );
    let life = life(Module::honest(&world), Relay::honest(&world));
    assert_eq!(life.end, Ok(()));
    let inputs: Vec<&String> = life.seen.questions.iter().skip(1).take(3).collect();
    assert_eq!(inputs, ["key bids-north", "digests bids-north", "chunk bids-north 0"]);
    let files = open(&world, &life.seen, "harbour");
    assert_eq!(
        files.first().unwrap().1,
        "dataset,state,size\nbids-north,table,3\nbids-south,absent,0\nnote,absent,0\n"
    );
}

#[test]
fn a_request_is_bound_into_the_key_question_and_changes_the_seed() {
    let edit = |text: String| text.replace("authorize = \"inputs\"", "authorize = \"request\"");
    let world = World::with(edit, |_| Content::Genuine);
    let tie = |number| {
        let mut relay = Relay::honest(&world);
        relay.documents.request = Some(world.request(number, &["north", "south", "harbour"]));
        let digest = Digest384::of(&relay.documents.request.as_ref().unwrap().bytes);
        let life = life(Module::honest(&world), relay);
        assert_eq!(life.end, Ok(()));
        let expected = RequestBinding::Request(digest).user_data().unwrap();
        let bound = life.asked_module.iter().filter(|request| match request {
            Request::Attestation(request) => {
                request.public_key.is_some() && request.user_data.as_deref() == Some(expected.as_bytes())
            }
            _ => false,
        });
        assert_eq!(bound.count(), 3);
        open(&world, &life.seen, "north").get(1).unwrap().1.clone()
    };
    assert_ne!(tie(1), tie(2));
}
