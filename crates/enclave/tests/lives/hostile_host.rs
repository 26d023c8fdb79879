//! Hosts and key services that hand over something else than what was asked for.

use entente_channel::{Answer, Ask, ErrorCode, MAX_PIECE};
use entente_enclave::Refusal;
use entente_release::recipient::{EnvelopeSecrets, RecipientKey, RecipientPublicKey, envelope};

use crate::module::Module;
use crate::relay::{Mischief, Relay, Seen};
use crate::world::{name, random};
use crate::{Life, WORLD, life};

fn with(mischief: Mischief) -> Life {
    let mut relay = Relay::honest(&WORLD);
    relay.mischief = mischief;
    life(Module::honest(&WORLD), relay)
}

/// What the enclave does about every wrong answer to a question for a key.
fn key_refusal(seen: &Seen) {
    assert_eq!(
        seen.questions,
        ["documents", "key bids-north", "key bids-south", "key note", "halted KeyRefused"],
        "the order of messages tells nothing"
    );
}

#[test]
fn a_wrong_key_is_one_thing_whatever_is_wrong_with_it() {
    let another = RecipientKey::generate().unwrap();
    let another = RecipientPublicKey::from_spki_der(another.spki_der()).unwrap();
    let to_another = envelope(&another, &[7; 32], EnvelopeSecrets::new(random(), random())).unwrap();
    let key = |bytes: Vec<u8>| Answer::Key { ciphertext_for_recipient: bytes };
    let answers = [
        key(Vec::new()),
        key(vec![0x30; 600]),
        key(to_another),
        Answer::Taken,
        Answer::Chunk { bytes: vec![1] },
        Answer::ChunkDigests { digests: vec![0; 48] },
    ];
    for wrong in answers {
        for dataset in ["bids-north", "bids-south", "note"] {
            let wrong = wrong.clone();
            let life = with(Box::new(move |question, truth| match question {
                Ask::ReleaseKey { dataset: asked, .. } if asked == dataset => Some(wrong.clone()),
                _ => Some(truth),
            }));
            assert_eq!(*life.refused(ErrorCode::KeyRefused), Refusal::Key);
            key_refusal(&life.seen);
        }
    }
}

#[test]
fn a_key_of_another_dataset_or_sealing_does_not_fit() {
    // Two datasets' keys, exchanged: both envelopes are genuine and for this enclave.
    let mut relay = Relay::honest(&WORLD);
    let keys: Vec<[u8; 32]> = relay.sealed.values().map(|sealed| sealed.key).collect();
    for (sealed, key) in relay.sealed.values_mut().zip(keys.into_iter().rev()) {
        sealed.key = key;
    }
    let exchanged = life(Module::honest(&WORLD), relay);
    exchanged.refused(ErrorCode::KeyRefused);
    key_refusal(&exchanged.seen);
    // The key of another sealing of the same dataset, and a key of the wrong length.
    let mut relay = Relay::honest(&WORLD);
    relay.sealed.get_mut(&name("note")).unwrap().key = WORLD.seal("note", Some(vec![1])).key;
    let other = life(Module::honest(&WORLD), relay);
    other.refused(ErrorCode::KeyRefused);
    key_refusal(&other.seen);
}

/// A change of the answers to questions about sealed files, after which the life must end with `CiphertextRefused`.
fn ciphertext_refused(what: &str, change: impl Fn(&Ask, Answer) -> Answer + Send + 'static) {
    let life = with(Box::new(move |question, truth| Some(change(question, truth))));
    let halted = life.end.as_ref().expect_err(what);
    assert_eq!(halted.code(), ErrorCode::CiphertextRefused, "{what}");
    assert_eq!(*life.refused(ErrorCode::CiphertextRefused), Refusal::Ciphertext, "{what}");
    // Each piece was asked for at most once, in order.
    let mut pieces: Vec<&String> =
        life.seen.questions.iter().filter(|line| line.starts_with("chunk")).collect();
    let asked = pieces.len();
    pieces.dedup();
    assert_eq!(pieces.len(), asked, "{what}");
    assert!(pieces.is_sorted(), "{what}");
}

fn piece_of(dataset: &str, index: usize) -> Vec<u8> {
    WORLD.sealed.get(&name(dataset)).unwrap().bytes.chunks(MAX_PIECE).nth(index).unwrap().to_vec()
}

/// Changes the bytes of one piece.
fn piece(
    dataset: &'static str,
    number: u64,
    change: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> impl Fn(&Ask, Answer) -> Answer + Send {
    move |question, truth| match (question, truth) {
        (Ask::Chunk { dataset: asked, index }, Answer::Chunk { bytes })
            if asked == dataset && *index == number =>
        {
            Answer::Chunk { bytes: change(bytes) }
        }
        (_, truth) => truth,
    }
}

/// Changes the list of digests of one file.
fn digests(
    dataset: &'static str,
    change: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> impl Fn(&Ask, Answer) -> Answer + Send {
    move |question, truth| match (question, truth) {
        (Ask::ChunkDigests { dataset: asked }, Answer::ChunkDigests { digests }) if asked == dataset => {
            Answer::ChunkDigests { digests: change(digests) }
        }
        (_, truth) => truth,
    }
}

#[test]
fn every_piece_is_the_one_that_the_owner_signed() {
    ciphertext_refused("swapped with another piece", piece("note", 0, |_| piece_of("note", 1)));
    ciphertext_refused("a piece twice", piece("note", 1, |_| piece_of("note", 0)));
    ciphertext_refused("a piece of another dataset", piece("bids-north", 0, |_| piece_of("bids-south", 0)));
    ciphertext_refused("dropped", piece("note", 2, |_| Vec::new()));
    ciphertext_refused(
        "cut by a byte",
        piece("note", 2, |mut bytes| {
            bytes.pop();
            bytes
        }),
    );
    ciphertext_refused(
        "longer by a byte",
        piece("note", 2, |mut bytes| {
            bytes.push(0);
            bytes
        }),
    );
    ciphertext_refused(
        "one bit in the middle",
        piece("note", 1, |mut bytes| {
            *bytes.get_mut(500_000).unwrap() ^= 1;
            bytes
        }),
    );
    ciphertext_refused(
        "one bit at the start",
        piece("bids-north", 0, |mut bytes| {
            *bytes.first_mut().unwrap() ^= 0x80;
            bytes
        }),
    );
    ciphertext_refused("an answer to another question", |question, truth| match question {
        Ask::Chunk { .. } => Answer::Taken,
        _ => truth,
    });
}

#[test]
fn the_list_of_pieces_is_the_one_that_the_owner_signed() {
    ciphertext_refused(
        "another file's",
        digests("bids-north", |_| WORLD.sealed.get(&name("bids-south")).unwrap().list.to_bytes()),
    );
    ciphertext_refused(
        "reordered",
        digests("note", |mut digests| {
            digests.rotate_left(48);
            digests
        }),
    );
    ciphertext_refused(
        "shorter",
        digests("note", |mut digests| {
            digests.truncate(48);
            digests
        }),
    );
    ciphertext_refused(
        "longer",
        digests("note", |mut digests| {
            digests.extend_from_slice(&[0; 48]);
            digests
        }),
    );
    ciphertext_refused(
        "not whole",
        digests("note", |mut digests| {
            digests.pop();
            digests
        }),
    );
    ciphertext_refused("nothing", digests("note", |_| Vec::new()));
}

#[test]
fn a_replayed_or_mixed_sealing_is_refused() {
    // An earlier sealing of the same dataset by the same owner, whole and consistent.
    let mut relay = Relay::honest(&WORLD);
    let mut earlier = WORLD.seal("bids-north", None);
    earlier.key = relay.sealed.get(&name("bids-north")).unwrap().key;
    relay.sealed.insert(name("bids-north"), earlier);
    let replayed = life(Module::honest(&WORLD), relay);
    assert_eq!(*replayed.refused(ErrorCode::CiphertextRefused), Refusal::Ciphertext);
    // A mix: the list that was signed, and a piece of the file resealed under the same keys.
    let resealed = WORLD.seal("note", None).bytes;
    ciphertext_refused(
        "mixed",
        piece("note", 1, move |_| resealed.chunks(MAX_PIECE).nth(1).unwrap().to_vec()),
    );
}

#[test]
fn a_host_that_goes_away_gets_no_other_answer() {
    let ends = [
        ("key bids-south", ErrorCode::KeyRefused),
        ("digests note", ErrorCode::CiphertextRefused),
        ("chunk note 1", ErrorCode::CiphertextRefused),
        ("receipt", ErrorCode::RunFailed),
    ];
    for (last, code) in ends {
        let mut seen = Seen::default();
        let life = with(Box::new(move |question, truth| {
            seen.note(question);
            (seen.questions.last().map(String::as_str) != Some(last)).then_some(truth)
        }));
        assert_eq!(life.end.unwrap_err().code(), code);
        assert_eq!(life.seen.questions.last().unwrap(), last);
        assert!(!life.seen.finished);
    }
}

#[test]
fn a_host_that_does_not_take_results_gets_no_receipt() {
    let life = with(Box::new(|question, truth| match question {
        Ask::Deliver { name, .. } if name == "tally.harbour.age" => Some(Answer::Chunk { bytes: vec![1] }),
        _ => Some(truth),
    }));
    assert_eq!(life.end.as_ref().unwrap_err().code(), ErrorCode::RunFailed);
    assert_eq!(life.seen.halted, Some(ErrorCode::RunFailed));
    assert!(life.seen.receipt.is_none() && !life.seen.finished);
}
