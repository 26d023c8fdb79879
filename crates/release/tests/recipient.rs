//! The Recipient exchange against AWS's own answers, stock OpenSSL, and answers with something wrong.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests read vectors and run openssl"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use entente_release::recipient::{
    EnvelopeError, EnvelopeSecrets, RecipientKey, RecipientKeyError, RecipientPublicKey, UnwrapError,
    envelope,
};

const SUBSTITUTE: [u8; 32] = [0xa5; 32];

/// A file of `../shared/vectors/kms-cms`, or none where the vectors are not (which CI does not accept).
fn vector(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/kms-cms")).join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", path.display());
            println!("skipped: {} is not there", path.display());
            None
        }
    }
}

/// SplitMix64: tests repeat.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn sealed_for(key: &RecipientKey, plaintext: &[u8]) -> Vec<u8> {
    let public = RecipientPublicKey::from_spki_der(key.spki_der()).unwrap();
    envelope(&public, plaintext, EnvelopeSecrets::new([7; 32], [9; 16])).unwrap()
}

#[test]
fn an_answer_of_aws_kms_opens() {
    let Some(answer) = vector("edgebit-go-32B.ber") else { return };
    let key = RecipientKey::from_pkcs8(&vector("edgebit-go-32B.key.der").unwrap()).unwrap();
    let plaintext = vector("edgebit-go-32B.plaintext.bin").unwrap();
    assert_eq!(key.unwrap(&answer, SUBSTITUTE).expose_secret().as_slice(), plaintext);
    assert_eq!(key.unwrap_any(&answer).unwrap().as_slice(), plaintext);
}

#[test]
fn both_content_forms_of_aws_kms_have_the_structure_that_we_expect() {
    let (Some(implicit), Some(chunked)) =
        (vector("aws-sdk-c-ctx-specific-implicit.ber"), vector("edgebit-go-32B.ber"))
    else {
        return;
    };
    let key = RecipientKey::from_pkcs8(&vector("edgebit-go-32B.key.der").unwrap()).unwrap();
    // The private key of the implicit answer is not published: put the parts of the other one in its places.
    let mut transplanted = implicit.clone();
    transplanted[0x83..0x183].copy_from_slice(&chunked[0x83..0x183]);
    transplanted[0x19f..0x1af].copy_from_slice(&chunked[0x19f..0x1af]);
    // Its content has 16 bytes; make room for 48.
    let content_48 = [&[0x80, 0x30], &chunked[0x1b3..0x1e3]].concat();
    transplanted.splice(0x1af..0x1c1, content_48);
    let plaintext = vector("edgebit-go-32B.plaintext.bin").unwrap();
    assert_eq!(key.unwrap(&transplanted, SUBSTITUTE).expose_secret().as_slice(), plaintext);
    assert_eq!(key.unwrap_any(&transplanted).unwrap().as_slice(), plaintext);
    // As published it is for another key.
    assert_eq!(*key.unwrap(&implicit, SUBSTITUTE).expose_secret(), SUBSTITUTE);
}

#[test]
fn our_answer_is_byte_for_byte_the_form_of_aws() {
    let Some(theirs) = vector("edgebit-go-32B.ber") else { return };
    let key = RecipientKey::from_pkcs8(&vector("edgebit-go-32B.key.der").unwrap()).unwrap();
    let ours = sealed_for(&key, &vector("edgebit-go-32B.plaintext.bin").unwrap());
    assert_eq!(ours.len(), theirs.len());
    let random = [0x83..0x183, 0x19f..0x1af, 0x1b3..0x1e3];
    for (offset, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        if !random.iter().any(|range| range.contains(&offset)) {
            assert_eq!(a, b, "byte {offset:#x}");
        }
    }
}

#[test]
fn every_length_comes_back() {
    let key = RecipientKey::generate().unwrap();
    for length in [0, 1, 15, 16, 31, 32, 33, 983, 984, 985, 1000, 2000, 4095, 4096] {
        let plaintext: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let answer = sealed_for(&key, &plaintext);
        assert!(answer.len() <= 6144);
        assert_eq!(key.unwrap_any(&answer).unwrap().as_slice(), plaintext, "{length}");
        let released = *key.unwrap(&answer, SUBSTITUTE).expose_secret();
        if length == 32 {
            assert_eq!(released.as_slice(), plaintext);
        } else {
            assert_eq!(released, SUBSTITUTE, "{length}");
        }
    }
    let public = RecipientPublicKey::from_spki_der(key.spki_der()).unwrap();
    let refused = envelope(&public, &[0; 4097], EnvelopeSecrets::new([7; 32], [9; 16]));
    assert_eq!(refused, Err(EnvelopeError::TooLong { length: 4097 }));
}

#[test]
fn another_recipients_answer_gives_the_substitute() {
    let ours = RecipientKey::generate().unwrap();
    let answer = sealed_for(&RecipientKey::generate().unwrap(), &[1; 32]);
    assert_eq!(*ours.unwrap(&answer, SUBSTITUTE).expose_secret(), SUBSTITUTE);
    assert_eq!(ours.unwrap_any(&answer), Err(UnwrapError));
}

#[test]
fn ten_thousand_mutated_answers_give_a_key_each_and_never_panic() {
    let key = RecipientKey::generate().unwrap();
    let real = [0x5a; 32];
    let answer = sealed_for(&key, &real);
    let mut rng = Rng(1);
    let (mut as_sent, mut substituted, mut malleated) = (0, 0, 0);
    for round in 0..10_000 {
        let mut mutant = answer.clone();
        match rng.below(7) {
            0 => {
                let at = rng.below(mutant.len());
                mutant[at] ^= 1 << rng.below(8);
            }
            1 => {
                let at = rng.below(mutant.len());
                mutant[at] = rng.byte();
            }
            2 => mutant.truncate(rng.below(answer.len())),
            3 => {
                let at = rng.below(mutant.len());
                mutant.insert(at, rng.byte());
            }
            4 => {
                let at = rng.below(mutant.len());
                mutant.remove(at);
            }
            5 => {
                let (from, to) = (rng.below(answer.len()), rng.below(answer.len()));
                let length = rng.below(64).min(answer.len() - from.max(to));
                mutant.copy_within(from..from + length, to);
            }
            _ => {
                let extra = rng.below(7000);
                mutant.extend((0..extra).map(|_| rng.byte()));
            }
        }
        let released = *key.unwrap(&mutant, SUBSTITUTE).expose_secret();
        if released == SUBSTITUTE {
            substituted += 1;
        } else if released == real {
            // The key identifier decides nothing, and some mutations change nothing.
            as_sent += 1;
        } else {
            // CBC has no MAC: an answer changed in its initialisation vector or content opens to something else. The commitment
            // in the manifest refuses that (PROTOCOL.md §5); nothing here can.
            malleated += 1;
            let chosen = (0x19f..0x1e3).any(|offset| mutant.get(offset) != answer.get(offset));
            assert!(chosen, "round {round}");
        }
    }
    assert!(substituted > 8_000, "{substituted} substituted, {as_sent} as sent, {malleated} malleated");
    assert!(as_sent > 0 && malleated > 0);
}

#[test]
fn random_bytes_give_the_substitute() {
    let key = RecipientKey::generate().unwrap();
    let mut rng = Rng(2);
    for _ in 0..200 {
        let length = rng.below(8000);
        let bytes: Vec<u8> = (0..length).map(|_| rng.byte()).collect();
        assert_eq!(*key.unwrap(&bytes, SUBSTITUTE).expose_secret(), SUBSTITUTE);
    }
    assert_eq!(*key.unwrap(&[], SUBSTITUTE).expose_secret(), SUBSTITUTE);
}

#[test]
fn a_recipient_key_must_be_a_canonical_rsa_key_of_allowed_size() {
    let good = RecipientKey::generate().unwrap().spki_der().to_vec();
    assert_eq!(good.len(), 294);
    assert!(RecipientPublicKey::from_spki_der(&good).is_ok());
    let mut trailing = good.clone();
    trailing.push(0);
    for (bytes, expected) in [
        (Vec::new(), RecipientKeyError::NotRsa),
        (trailing, RecipientKeyError::NotCanonical),
        (good[..293].to_vec(), RecipientKeyError::NotRsa),
    ] {
        assert_eq!(RecipientPublicKey::from_spki_der(&bytes).unwrap_err(), expected);
    }
    for (algorithm, expected) in [
        (&["RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], RecipientKeyError::NotRsa),
        (&["EC", "-pkeyopt", "ec_paramgen_curve:P-384"][..], RecipientKeyError::NotRsa),
    ] {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), &[&["genpkey", "-out", "key.pem", "-algorithm"], algorithm].concat());
        openssl(dir.path(), &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "pub.der"]);
        let der = std::fs::read(dir.path().join("pub.der")).unwrap();
        assert_eq!(RecipientPublicKey::from_spki_der(&der).unwrap_err(), expected, "{algorithm:?}");
    }
}

fn openssl(dir: &Path, arguments: &[&str]) -> PathBuf {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("this test needs the openssl program: {error}"));
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    dir.to_owned()
}

#[test]
fn stock_openssl_opens_our_answers() {
    let dir = tempfile::tempdir().unwrap();
    openssl(
        dir.path(),
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"],
    );
    openssl(
        dir.path(),
        &["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"],
    );
    let key = RecipientKey::from_pkcs8(&std::fs::read(dir.path().join("key.der")).unwrap()).unwrap();
    for length in [0, 32, 4096] {
        let plaintext = vec![0x37; length];
        std::fs::write(dir.path().join("answer.ber"), sealed_for(&key, &plaintext)).unwrap();
        openssl(
            dir.path(),
            &[
                "cms",
                "-decrypt",
                "-inform",
                "DER",
                "-in",
                "answer.ber",
                "-inkey",
                "key.pem",
                "-out",
                "out.bin",
                "-binary",
            ],
        );
        assert_eq!(std::fs::read(dir.path().join("out.bin")).unwrap(), plaintext, "{length}");
    }
}

#[test]
fn answers_made_by_stock_openssl_open() {
    let dir = tempfile::tempdir().unwrap();
    let identifier = "0123456789ABCDEF".repeat(4);
    let config = format!(
        "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nCN=enclave\n[ext]\nsubjectKeyIdentifier={identifier}\n"
    );
    std::fs::write(dir.path().join("c.cnf"), config).unwrap();
    openssl(
        dir.path(),
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-config", "c.cnf",
        ],
    );
    openssl(
        dir.path(),
        &["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"],
    );
    let key = RecipientKey::from_pkcs8(&std::fs::read(dir.path().join("key.der")).unwrap()).unwrap();
    std::fs::write(dir.path().join("plain.bin"), [0x42; 32]).unwrap();
    let base = [
        "cms",
        "-encrypt",
        "-binary",
        "-in",
        "plain.bin",
        "-outform",
        "DER",
        "-out",
        "answer.der",
        "-recip",
        "cert.pem",
    ];
    let oaep = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
    // Definite lengths, and with -stream indefinite ones.
    for (extra, opens) in [
        (&["-aes256", "-keyid"][..], true),
        (&["-aes256", "-keyid", "-stream"], true),
        (&["-aes128", "-keyid"], false),
        // Names its recipient by issuer and serial number.
        (&["-aes256"], false),
    ] {
        openssl(dir.path(), &[&base[..], &oaep, extra].concat());
        let answer = std::fs::read(dir.path().join("answer.der")).unwrap();
        let expected = if opens { [0x42; 32] } else { SUBSTITUTE };
        assert_eq!(*key.unwrap(&answer, SUBSTITUTE).expose_secret(), expected, "{extra:?}");
    }
    // PKCS#1 v1.5, Bleichenbacher's padding, is not accepted.
    openssl(dir.path(), &[&base[..], &["-aes256", "-keyid"]].concat());
    let answer = std::fs::read(dir.path().join("answer.der")).unwrap();
    assert_eq!(*key.unwrap(&answer, SUBSTITUTE).expose_secret(), SUBSTITUTE);
}
