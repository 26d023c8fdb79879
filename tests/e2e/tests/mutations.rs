//! Random mutations of every format that is read, through the functions that read it: a typed error or an equal object, no
//! panic, bounded time.
//!
//! Ten thousand of each; fewer where one reading is slow in a debug build, and each such place says how many. Receipts with
//! a broken signature, images and key answers are met ten thousand times in their own crates, too.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use entente_agreement::{
    Agreement, ApprovedAgreement, InputSet, KeyArn, KnownParties, Manifest, Name, Namespace, SignKey,
};
use entente_attestation::{SignedDocument, TrustAnchor, UnixTime};
use entente_e2e::{Numbers, Play, demo_directory};
use entente_image::{Application, Eif, EnclaveImage};
use entente_party::{Home, KeyServiceError, KeyWrapper, SealOrder, read_approvals, seal};
use entente_release::policy::KeyPolicy;
use entente_sealing::table::{TableReader, TableTerms};
use entente_sealing::{Binding, DatasetKey, SealingKeys};
use zeroize::Zeroizing;

/// One to three random changes.
fn mutate(numbers: &mut Numbers, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = numbers.below(bytes.len());
        match numbers.below(7) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, *numbers.one_of(b"\n\"[]{}=,-.0a\0\xff")),
            4 if numbers.below(4) == 0 => bytes.truncate(at),
            5 => {
                // A number that is much too large, over what is there.
                let end = (at + 1 + numbers.below(8)).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
            _ => {
                let end = (at + numbers.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}

/// Reads mutations; gives how many were read as something.
fn sweep(count: usize, seed: u64, original: &[u8], mut read: impl FnMut(&[u8]) -> bool) -> usize {
    let mut numbers = Numbers::new(seed);
    assert!(read(original), "the original is not read");
    let mut good = 0;
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let mutated = mutate(&mut numbers, original);
        let start = Instant::now();
        good += usize::from(read(&mutated));
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(10), "one reading took {slowest:?}");
    good
}

fn demo(name: &str) -> Vec<u8> {
    fs::read(demo_directory().join(name)).unwrap()
}

#[test]
fn agreements() {
    sweep(10_000, 1, &demo("agreement.toml"), |bytes| match Agreement::parse(bytes) {
        Ok(agreement) => {
            assert_eq!(agreement.bytes(), bytes);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    });
}

/// Generated objects have one form only: what is read is what was written.
#[test]
fn manifests_and_input_sets() {
    sweep(10_000, 2, &demo("sealed/bids-north.manifest.toml"), |bytes| {
        Manifest::parse(bytes).is_ok_and(|read| {
            assert_eq!(read.bytes(), bytes);
            true
        })
    });
    sweep(10_000, 3, &demo("inputs.toml"), |bytes| {
        InputSet::parse(bytes).is_ok_and(|read| {
            assert_eq!(read.bytes(), bytes);
            true
        })
    });
}

#[test]
fn signatures() {
    let agreement = Agreement::parse(&demo("agreement.toml")).unwrap();
    let key: &SignKey = agreement.party(&"north".parse().unwrap()).unwrap().sign_key();
    let armored = demo("agreement.toml.north.sig");
    let text = demo("agreement.toml");
    let body = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().collect::<String>();
    sweep(10_000, 4, &armored, |bytes| {
        let good = key.verify(Namespace::Agreement, &text, bytes).is_ok();
        // Another armour may be read as the same; other contents may not.
        assert!(!good || body(bytes) == body(&armored), "{}", String::from_utf8_lossy(bytes));
        good
    });
}

#[test]
fn known_parties() {
    sweep(10_000, 5, &demo("north/home/known_parties"), |bytes| {
        KnownParties::parse(bytes).is_ok_and(|known| {
            let _ = known.iter().count();
            true
        })
    });
}

#[test]
fn receipts_and_documents() {
    let agreement = Agreement::parse(&demo("agreement.toml")).unwrap();
    let anchor = TrustAnchor::simulated(&demo("ca/root.der")).unwrap();
    let receipt = demo("results/receipt.json");
    sweep(10_000, 6, &receipt, |bytes| {
        let good = entente_receipt::verify(bytes, &agreement, &anchor).is_ok();
        assert!(!good || bytes == receipt);
        good
    });
    sweep(10_000, 7, &receipt, |bytes| entente_receipt::Receipt::parse(bytes).is_ok());
    let envelope: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    let signature = envelope["signatures"][0]["sig"].as_str().unwrap();
    let document = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
    sweep(10_000, 8, &document, |bytes| SignedDocument::parse(bytes).is_ok());
    sweep(10_000, 9, &document, |bytes| {
        let Ok(parsed) = SignedDocument::parse(bytes) else { return false };
        let at = parsed.timestamp_unverified();
        let good = parsed.authenticate(&anchor, at).is_ok();
        assert!(!good || bytes == document);
        good
    });
}

#[test]
fn images() {
    let eif = demo("auction.eif");
    // The head of a real image and a little of its body: what a mutation meets is what is parsed, not the program's code.
    let mut numbers = Numbers::new(10);
    assert!(Eif::parse(&eif).is_ok());
    let mut copy = eif.clone();
    // 250: the checksum goes over all bytes.
    for _ in 0..250 {
        let at = numbers.below(1_024).min(eif.len() - 1);
        copy[at] ^= u8::try_from(1 + numbers.below(255)).unwrap();
        assert!(Eif::parse(&copy).is_err(), "byte {at}");
        copy[at] = eif[at];
    }
    // A small image: every mutation is read to the end of what is right in it.
    let small = EnclaveImage::application(&Application::new("small", "0", &[7; 600])).unwrap();
    sweep(10_000, 11, small.bytes(), |bytes| {
        Eif::parse(bytes).is_ok_and(|image| {
            let _ = image.measure();
            true
        })
    });
}

#[test]
fn policies() {
    let play = Play::copy();
    let done = play.entente(&[
        "key",
        "policy",
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
    ]);
    assert_eq!(done.code, 0, "{done}");
    sweep(10_000, 12, done.stdout.trim_end().as_bytes(), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(policy) = KeyPolicy::parse(text) else { return false };
        let again = KeyPolicy::parse(&policy.to_json()).unwrap();
        assert_eq!(again.to_json(), policy.to_json());
        true
    });
}

#[test]
fn configurations_of_hosts() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("host.toml");
    sweep(5_000, 13, &demo("host.toml"), |bytes| {
        fs::write(&file, bytes).unwrap();
        entente_host::Config::from_file(scratch.path(), &file).is_ok()
    });
}

#[test]
fn results() {
    let identity = fs::read_to_string(demo_directory().join("north/home/age_identity.txt")).unwrap();
    let home = Home::open(&Play::copy().path("north/home")).map(drop);
    assert!(home.is_ok());
    let identity = entente_sealing::result::ResultIdentity::parse(&identity).unwrap();
    let sealed = demo("results/own.north.age");
    let archive = identity.open(&sealed, 1 << 20).unwrap();
    // 2,000: each has a key agreement.
    let good = sweep(2_000, 14, &sealed, |bytes| {
        identity.open(bytes, 1 << 20).is_ok_and(|opened| {
            assert!(*opened == *archive);
            true
        })
    });
    assert!(good < 20, "{good}");
    sweep(10_000, 15, &archive, |bytes| entente_sealing::result::ResultArchive::parse(bytes).is_ok());
}

/// A key service that keeps K.
struct Keeper(Mutex<Vec<[u8; 32]>>);

impl KeyWrapper for Keeper {
    fn wrap(&self, _: &KeyArn, secret: &DatasetKey, _: &Binding) -> Result<Vec<u8>, KeyServiceError> {
        self.0.lock().unwrap().push(*secret.expose_for_wrapping());
        Ok(vec![7; 200])
    }
}

/// Seals a table as the north does; gives the keys and the sealed file.
fn sealed(play: &Play, source: &Path, out: &Path) -> Result<(SealingKeys, Vec<u8>), String> {
    let home = Home::open(&play.path("north/home")).unwrap();
    let approvals = read_approvals(&play.path("agreement.toml")).unwrap();
    let agreement = Agreement::parse(&play.read("agreement.toml")).unwrap();
    let digest = agreement.digest();
    let approved = ApprovedAgreement::verify(agreement, &approvals).unwrap();
    let dataset: Name = "bids-north".parse().unwrap();
    let order = SealOrder {
        approved: &approved,
        dataset: &dataset,
        source,
        source_format: Some(entente_party::SourceFormat::Csv),
        directory: out,
        at: UnixTime::from_millis(
            u64::try_from(
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis(),
            )
            .unwrap(),
        ),
    };
    let keeper = Keeper(Mutex::new(Vec::new()));
    let done = seal(&home, &order, &keeper, &mut |_| {}).map_err(|error| error.to_string())?;
    let key = keeper.0.lock().unwrap().pop().unwrap();
    let binding = Binding { agreement: digest, dataset, sealing: done.manifest.sealing() };
    let keys = SealingKeys::derive(&DatasetKey::from_bytes(Zeroizing::new(key)), &binding);
    Ok((keys, fs::read(done.file).unwrap()))
}

#[test]
fn sealed_tables() {
    let play = Play::copy();
    let (keys, file) = sealed(&play, &play.path("bids-north.csv"), &play.path("new")).unwrap();
    let agreement = Agreement::parse(&play.read("agreement.toml")).unwrap();
    let terms = TableTerms::of(agreement.dataset(&"bids-north".parse().unwrap()).unwrap()).unwrap();
    let open = |bytes: &[u8]| {
        let reader = TableReader::open(bytes::Bytes::copy_from_slice(bytes), &keys, &terms, 64 << 20).ok()?;
        reader.read_all().ok()
    };
    let original = open(&file).unwrap();
    sweep(10_000, 16, &file, |bytes| {
        open(bytes).is_some_and(|rows| {
            assert!(rows == original, "other rows");
            true
        })
    });
}

#[test]
fn tables_of_owners() {
    let play = Play::copy();
    let original = play.read("bids-north.csv");
    let source = play.path("mutated.csv");
    let mut count = 0;
    // 1,000: each that fits is sealed, padded, opened and compared; what does not is told with its place.
    sweep(1_000, 17, &original, |bytes| {
        fs::write(&source, bytes).unwrap();
        count += 1;
        match sealed(&play, &source, &play.path(&format!("new-{count}"))) {
            Ok(_) => true,
            Err(error) => {
                assert!(error.contains("mutated.csv"), "{error}");
                assert!(!play.path(&format!("new-{count}/bids-north.manifest.toml")).exists());
                false
            }
        }
    });
}

/// Cards are read by the program alone: 60 of them, by exit code.
#[test]
fn cards() {
    let play = Play::copy();
    let original = play.read("south.card");
    fs::copy(play.path("north/home/known_parties"), play.path("known")).unwrap();
    sweep(60, 18, &original, |bytes| {
        fs::copy(play.path("known"), play.path("north/home/known_parties")).unwrap();
        fs::write(play.path("mutated.card"), bytes).unwrap();
        let done = play.entente(&["party", "trust", "south", "mutated.card", "--home", "north/home"]);
        assert!([0, 1, 2].contains(&done.code) && !done.stderr.contains("panicked"), "{done}");
        done.code == 0
    });
}
