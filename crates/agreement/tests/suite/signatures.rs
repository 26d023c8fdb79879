//! SSHSIG: signatures that are each wrong in one property, and stock `ssh-keygen` both ways.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Signer, ssh_string};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entente_agreement::sshsig::{self, ArmorError};
use entente_agreement::{Namespace, SignKey, SignKeyError, SignKeyKind, SignatureError};

const MESSAGE: &[u8] = b"type = \"entente/agreement/v1\"\n";
const NAMESPACE: Namespace = Namespace::Agreement;

fn armored(blob: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(blob);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")).into_bytes()
}

/// The fields of a signature; each can be changed alone, and what is changed is signed as it stands.
#[derive(Clone)]
struct Fields {
    magic: Vec<u8>,
    version: u32,
    key: Vec<u8>,
    namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Vec<u8>,
    algorithm: Vec<u8>,
    after_raw: Vec<u8>,
    after: Vec<u8>,
}

impl Fields {
    fn of(key: &SignKey) -> Self {
        Self {
            magic: b"SSHSIG".to_vec(),
            version: 1,
            key: key.blob().to_vec(),
            namespace: NAMESPACE.as_str().as_bytes().to_vec(),
            reserved: Vec::new(),
            hash: b"sha512".to_vec(),
            algorithm: key.kind().as_str().as_bytes().to_vec(),
            after_raw: Vec::new(),
            after: Vec::new(),
        }
    }

    fn data(&self, message: &[u8]) -> Vec<u8> {
        let hash = if self.hash == b"sha256" { digest(&SHA256, message) } else { digest(&SHA512, message) };
        [
            b"SSHSIG".to_vec(),
            ssh_string(&self.namespace),
            ssh_string(&self.reserved),
            ssh_string(&self.hash),
            ssh_string(hash.as_ref()),
        ]
        .concat()
    }

    fn blob(&self, raw: &[u8]) -> Vec<u8> {
        let signature = [ssh_string(&self.algorithm), ssh_string(raw), self.after_raw.clone()].concat();
        [
            self.magic.clone(),
            self.version.to_be_bytes().to_vec(),
            ssh_string(&self.key),
            ssh_string(&self.namespace),
            ssh_string(&self.reserved),
            ssh_string(&self.hash),
            ssh_string(&signature),
            self.after.clone(),
        ]
        .concat()
    }

    fn signed(&self, signer: &Signer) -> Vec<u8> {
        armored(&self.blob(&signer.raw(&self.data(MESSAGE))))
    }
}

fn changed(change: impl FnOnce(&mut Fields)) -> Result<(), SignatureError> {
    let signer = Signer::of("ada");
    let mut fields = Fields::of(signer.key());
    change(&mut fields);
    signer.key().verify(NAMESPACE, MESSAGE, &fields.signed(&signer))
}

#[test]
fn a_signature_wrong_in_one_property_is_refused_for_it() {
    let ada = Signer::of("ada");
    let bea = Signer::of("bea");
    assert_eq!(changed(|_| ()), Ok(()));
    assert_eq!(changed(|fields| fields.hash = b"sha256".to_vec()), Ok(()));
    assert_eq!(changed(|fields| fields.magic = b"SSHSIH".to_vec()), Err(SignatureError::Magic));
    assert_eq!(changed(|fields| fields.version = 0), Err(SignatureError::Version { found: 0 }));
    assert_eq!(changed(|fields| fields.version = 2), Err(SignatureError::Version { found: 2 }));
    assert_eq!(
        changed(|fields| fields.key = bea.key().blob().to_vec()),
        Err(SignatureError::OtherKey { expected: ada.key().fingerprint(), found: bea.key().fingerprint() })
    );
    assert_eq!(changed(|fields| fields.key.push(0)), Err(SignatureError::Key(SignKeyError::Encoding)));
    for (namespace, expected) in [
        ("entente-manifest", "entente-manifest"),
        ("", ""),
        ("file", "file"),
        ("entente-agreement\0", "entente-agreement\0"),
    ] {
        assert_eq!(
            changed(|fields| fields.namespace = namespace.as_bytes().to_vec()),
            Err(SignatureError::Namespace { expected: "entente-agreement", found: expected.to_owned() })
        );
    }
    assert_eq!(changed(|fields| fields.reserved = vec![0]), Err(SignatureError::Reserved));
    for hash in ["sha1", "sha384", "SHA512", ""] {
        assert_eq!(
            changed(|fields| fields.hash = hash.as_bytes().to_vec()),
            Err(SignatureError::Hash { found: hash.to_owned() })
        );
    }
    assert_eq!(
        changed(|fields| fields.algorithm = b"sk-ssh-ed25519@openssh.com".to_vec()),
        Err(SignatureError::Algorithm {
            key: SignKeyKind::Ed25519,
            found: "sk-ssh-ed25519@openssh.com".to_owned()
        })
    );
    assert_eq!(
        changed(|fields| fields.after_raw = vec![0, 0]),
        Err(SignatureError::TrailingBytes { field: "raw signature", found: 2 })
    );
    assert_eq!(
        changed(|fields| fields.after = vec![0]),
        Err(SignatureError::TrailingBytes { field: "signature", found: 1 })
    );
}

#[test]
fn another_message_key_or_bit_is_a_mismatch() {
    let ada = Signer::of("ada");
    let armored = ada.sign(NAMESPACE, MESSAGE);
    assert_eq!(ada.key().verify(NAMESPACE, MESSAGE, &armored), Ok(()));
    assert_eq!(ada.key().verify(NAMESPACE, b"else", &armored), Err(SignatureError::Mismatch));
    assert_eq!(
        ada.key().verify(Namespace::Inputs, MESSAGE, &armored),
        Err(SignatureError::Namespace { expected: "entente-inputs", found: "entente-agreement".to_owned() })
    );
    let fields = Fields::of(ada.key());
    let mut raw = ada.raw(&fields.data(MESSAGE));
    raw[5] ^= 1;
    assert_eq!(
        ada.key().verify(NAMESPACE, MESSAGE, &self::armored(&fields.blob(&raw))),
        Err(SignatureError::Mismatch)
    );
    raw.pop();
    assert_eq!(
        ada.key().verify(NAMESPACE, MESSAGE, &self::armored(&fields.blob(&raw))),
        Err(SignatureError::Encoding { field: "raw signature" })
    );
}

#[test]
fn the_armor_is_strict() {
    let ada = Signer::of("ada");
    let good = String::from_utf8(ada.sign(NAMESPACE, MESSAGE)).unwrap();
    let verify = |text: &str| ada.key().verify(NAMESPACE, MESSAGE, text.as_bytes());
    assert_eq!(verify(&good), Ok(()));
    assert_eq!(verify(good.trim_end()), Ok(()));
    assert_eq!(verify(""), Err(SignatureError::Armor));
    assert_eq!(verify(&format!("\n{good}")), Err(SignatureError::Armor));
    assert_eq!(verify(&format!("{good}\n")), Err(SignatureError::Armor));
    assert_eq!(verify(&format!("{good}{good}")), Err(SignatureError::Armor));
    assert_eq!(verify(&good.replace('\n', "\r\n")), Err(SignatureError::Armor));
    assert_eq!(verify(&good.replace("SSH SIGNATURE", "SIGNATURE")), Err(SignatureError::Armor));
    assert_eq!(verify(&good.replacen('U', " ", 1)), Err(SignatureError::Armor));
    assert_eq!(verify(&good.replacen("U1NI", "U1N!", 1)), Err(SignatureError::Base64));
    assert_eq!(verify(&"x".repeat(8193)), Err(SignatureError::TooLarge { found: 8193 }));
    let empty = "-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n";
    assert_eq!(verify(empty), Err(SignatureError::Armor));
    // A second base64 text of the same bytes: bits that must be zero are not.
    let blob = Fields::of(ada.key()).blob(&[0; 64]);
    let base64 = STANDARD.encode(&blob);
    if let Some(base) = base64.strip_suffix("==") {
        let last = base.chars().last().unwrap();
        let other = char::from(u8::try_from(u32::from(last)).unwrap() + 1);
        let text = format!(
            "-----BEGIN SSH SIGNATURE-----\n{}{other}==\n-----END SSH SIGNATURE-----\n",
            &base[..base.len() - 1]
        );
        assert!(matches!(verify(&text), Err(SignatureError::Armor | SignatureError::Base64)));
    }
}

/// Cut anywhere, a signature is refused and nothing panics.
#[test]
fn truncated_signatures_are_refused() {
    let ada = Signer::of("ada");
    let fields = Fields::of(ada.key());
    let blob = fields.blob(&ada.raw(&fields.data(MESSAGE)));
    for length in 0..blob.len() {
        assert!(ada.key().verify(NAMESPACE, MESSAGE, &armored(&blob[..length])).is_err());
    }
}

fn sk_key(point: &[u8], application: &[u8]) -> SignKey {
    let blob =
        [ssh_string(b"sk-ssh-ed25519@openssh.com"), ssh_string(point), ssh_string(application)].concat();
    SignKey::from_blob(&blob).unwrap()
}

fn sk_signature(flags: u8, tail: &[u8]) -> (SignKey, Vec<u8>) {
    let ada = Signer::of("ada");
    let point = &ada.key().blob()[19..];
    let key = sk_key(point, b"ssh:");
    let mut fields = Fields::of(&key);
    let counter = 41_u32.to_be_bytes();
    // PROTOCOL.u2f: SHA-256(application) || flags || counter || SHA-256(message)
    let signed = [
        digest(&SHA256, b"ssh:").as_ref(),
        &[flags],
        &counter,
        digest(&SHA256, &fields.data(MESSAGE)).as_ref(),
    ]
    .concat();
    fields.after_raw = [&[flags], counter.as_slice(), tail].concat();
    let blob = fields.blob(&ada.raw(&signed));
    (key, armored(&blob))
}

#[test]
fn a_token_must_have_been_touched() {
    let (key, signature) = sk_signature(0x01, b"");
    assert_eq!(key.kind(), SignKeyKind::SkEd25519);
    assert_eq!(key.verify(NAMESPACE, MESSAGE, &signature), Ok(()));
    let (key, signature) = sk_signature(0x05, b"");
    assert_eq!(key.verify(NAMESPACE, MESSAGE, &signature), Ok(()));
    // A good signature, made without a touch: OpenSSH takes it, we do not.
    for flags in [0x00, 0x04] {
        let (key, signature) = sk_signature(flags, b"");
        assert_eq!(key.verify(NAMESPACE, MESSAGE, &signature), Err(SignatureError::UserPresence));
    }
    let (key, signature) = sk_signature(0x01, b"\0");
    assert_eq!(
        key.verify(NAMESPACE, MESSAGE, &signature),
        Err(SignatureError::TrailingBytes { field: "raw signature", found: 1 })
    );
    let (_, signature) = sk_signature(0x01, b"");
    let other = sk_key(&key.blob()[34..66], b"ssh:other");
    assert!(matches!(other.verify(NAMESPACE, MESSAGE, &signature), Err(SignatureError::OtherKey { .. })));
    // OpenSSH itself takes the vector with the touch, so the vector is right.
    let directory = tempfile::tempdir().unwrap();
    let (key, signature) = sk_signature(0x01, b"");
    assert!(openssh_verifies(directory.path(), &key, &signature));
}

/// The same for P-256: the signature is `mpint r, mpint s`, then flags and counter.
#[test]
fn a_token_with_an_ecdsa_key() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
    let kind = b"sk-ecdsa-sha2-nistp256@openssh.com";
    let blob = [&kind[..], b"nistp256", pair.public_key().as_ref(), b"ssh:"].map(ssh_string).concat();
    let key = SignKey::from_blob(&blob).unwrap();
    assert_eq!(key.kind(), SignKeyKind::SkEcdsaP256);
    let directory = tempfile::tempdir().unwrap();
    for (flags, expected) in [(0x01, Ok(())), (0x00, Err(SignatureError::UserPresence))] {
        let mut fields = Fields::of(&key);
        let counter = 7_u32.to_be_bytes();
        fields.after_raw = [&[flags], counter.as_slice()].concat();
        let data = fields.data(MESSAGE);
        let application = digest(&SHA256, b"ssh:");
        let signed = [application.as_ref(), &[flags], &counter, digest(&SHA256, &data).as_ref()].concat();
        let raw = pair.sign(&random, &signed).unwrap();
        let mpint = |half: &[u8]| {
            let digits = &half[half.iter().position(|byte| *byte != 0).unwrap()..];
            if digits[0] < 0x80 { ssh_string(digits) } else { ssh_string(&[&[0], digits].concat()) }
        };
        let halves = raw.as_ref().split_at(32);
        let signature = armored(&fields.blob(&[mpint(halves.0), mpint(halves.1)].concat()));
        assert_eq!(key.verify(NAMESPACE, MESSAGE, &signature), expected);
        if expected.is_ok() {
            assert!(openssh_verifies(directory.path(), &key, &signature));
        }
        assert_eq!(sshsig::armor(&key, NAMESPACE, raw.as_ref()), Err(ArmorError::Token));
    }
}

fn ssh_keygen() -> Option<()> {
    let found = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !found && std::env::var_os("CI").is_some() {
        panic!("ssh-keygen is not installed");
    }
    if !found {
        eprintln!("skipped: ssh-keygen is not installed");
    }
    found.then_some(())
}

fn openssh_verifies(directory: &Path, key: &SignKey, signature: &[u8]) -> bool {
    if ssh_keygen().is_none() {
        return true;
    }
    let signers = directory.join("known_parties");
    let file = directory.join("OBJECT.ada.sig");
    let line = entente_agreement::KnownParties::line(&crate::support::name("ada"), key);
    entente_agreement::KnownParties::parse(line.as_bytes()).unwrap();
    std::fs::write(&signers, line).unwrap();
    std::fs::write(&file, signature).unwrap();
    let message = directory.join("message");
    std::fs::write(&message, MESSAGE).unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "ada", "-n", NAMESPACE.as_str(), "-f"])
        .arg(signers)
        .arg("-s")
        .arg(file)
        .stdin(std::fs::File::open(message).unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    status.success()
}

/// Stock `ssh-keygen` makes key and signature; we verify.
#[test]
fn signatures_of_ssh_keygen_verify() {
    let Some(()) = ssh_keygen() else { return };
    let directory = tempfile::tempdir().unwrap();
    for (kind, bits, expected) in [
        ("ed25519", "256", SignKeyKind::Ed25519),
        ("ecdsa", "256", SignKeyKind::EcdsaP256),
        ("ecdsa", "384", SignKeyKind::EcdsaP384),
        ("rsa", "3072", SignKeyKind::Rsa),
    ] {
        let key_file = directory.path().join(format!("{kind}-{bits}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "a comment", "-f"])
            .arg(&key_file)
            .status()
            .unwrap();
        assert!(made.success());
        let message = directory.path().join(format!("message-{kind}-{bits}"));
        std::fs::write(&message, MESSAGE).unwrap();
        let key: SignKey = std::fs::read_to_string(key_file.with_extension("pub")).unwrap().parse().unwrap();
        assert_eq!(key.kind(), expected);
        let listed = Command::new("ssh-keygen").arg("-l").arg("-f").arg(&key_file).output().unwrap();
        assert!(String::from_utf8(listed.stdout).unwrap().contains(&key.fingerprint()));
        for hash in ["sha512", "sha256"] {
            let signed = Command::new("ssh-keygen")
                .args(["-q", "-Y", "sign", "-n", NAMESPACE.as_str(), "-O", &format!("hashalg={hash}"), "-f"])
                .arg(&key_file)
                .arg(&message)
                .status()
                .unwrap();
            assert!(signed.success());
            let sig_file = format!("{}.sig", message.display());
            let signature = std::fs::read(&sig_file).unwrap();
            std::fs::remove_file(&sig_file).unwrap();
            assert_eq!(key.verify(NAMESPACE, MESSAGE, &signature), Ok(()), "{kind} {bits} {hash}");
            assert_eq!(key.verify(NAMESPACE, b"other", &signature), Err(SignatureError::Mismatch));
        }
    }
}

/// We encode, stock `ssh-keygen` verifies, and so do we.
#[test]
fn ssh_keygen_verifies_what_we_encode() {
    let directory = tempfile::tempdir().unwrap();
    let ada = Signer::of("ada");
    let signature = ada.sign(NAMESPACE, MESSAGE);
    assert!(openssh_verifies(directory.path(), ada.key(), &signature));
    for (algorithm, curve) in
        [(&ECDSA_P256_SHA256_FIXED_SIGNING, "nistp256"), (&ECDSA_P384_SHA384_FIXED_SIGNING, "nistp384")]
    {
        let (key, raw) = ecdsa(algorithm, curve);
        let armored = sshsig::armor(&key, NAMESPACE, &raw).unwrap();
        assert_eq!(key.verify(NAMESPACE, MESSAGE, armored.as_bytes()), Ok(()));
        assert!(openssh_verifies(directory.path(), &key, armored.as_bytes()));
    }
    let (key, pair) = rsa();
    let raw = rsa_sign(&pair, &RSA_PKCS1_SHA512, &sshsig::signed_data(NAMESPACE, MESSAGE));
    let armored = sshsig::armor(&key, NAMESPACE, &raw).unwrap();
    assert_eq!(key.verify(NAMESPACE, MESSAGE, armored.as_bytes()), Ok(()));
    assert!(openssh_verifies(directory.path(), &key, armored.as_bytes()));
    assert_eq!(
        sshsig::armor(&key, NAMESPACE, &raw[1..]),
        Err(ArmorError::Length { expected: 384, found: 383 })
    );
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> (SignKey, Vec<u8>) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
    let kind = format!("ecdsa-sha2-{curve}");
    let blob =
        [ssh_string(kind.as_bytes()), ssh_string(curve.as_bytes()), ssh_string(pair.public_key().as_ref())]
            .concat();
    let raw = pair.sign(&random, &sshsig::signed_data(NAMESPACE, MESSAGE)).unwrap();
    (SignKey::from_blob(&blob).unwrap(), raw.as_ref().to_vec())
}

fn rsa() -> (SignKey, RsaKeyPair) {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).unwrap();
    // RSAPublicKey of RFC 8017: SEQUENCE { INTEGER of 385 bytes, INTEGER 65537 }
    let der = pair.public_key().as_ref();
    let (modulus, exponent) = (&der[8..8 + 385], &der[der.len() - 3..]);
    let blob = [ssh_string(b"ssh-rsa"), ssh_string(exponent), ssh_string(modulus)].concat();
    (SignKey::from_blob(&blob).unwrap(), pair)
}

fn rsa_sign(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, data: &[u8]) -> Vec<u8> {
    let mut raw = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), data, &mut raw).unwrap();
    raw
}

#[test]
fn rsa_signs_with_sha2_only() {
    let (key, pair) = rsa();
    let verify = |algorithm: &[u8], encoding| {
        let mut fields = Fields::of(&key);
        fields.algorithm = algorithm.to_vec();
        let raw = rsa_sign(&pair, encoding, &fields.data(MESSAGE));
        key.verify(NAMESPACE, MESSAGE, &armored(&fields.blob(&raw)))
    };
    assert_eq!(verify(b"rsa-sha2-512", &RSA_PKCS1_SHA512), Ok(()));
    assert_eq!(verify(b"rsa-sha2-256", &RSA_PKCS1_SHA256), Ok(()));
    assert_eq!(verify(b"rsa-sha2-256", &RSA_PKCS1_SHA512), Err(SignatureError::Mismatch));
    for algorithm in ["ssh-rsa", "ssh-ed25519", "rsa-sha2-256-cert-v01@openssh.com", ""] {
        assert_eq!(
            verify(algorithm.as_bytes(), &RSA_PKCS1_SHA512),
            Err(SignatureError::Algorithm { key: SignKeyKind::Rsa, found: algorithm.to_owned() })
        );
    }
}

#[test]
fn keys_that_may_not_sign() {
    let ed25519 =
        |point: &[u8]| SignKey::from_blob(&[ssh_string(b"ssh-ed25519"), ssh_string(point)].concat());
    let mut order_four = [0; 32];
    order_four[31] = 0x80;
    assert_eq!(ed25519(&[0; 32]), Err(SignKeyError::WeakPoint));
    assert_eq!(ed25519(&order_four), Err(SignKeyError::WeakPoint));
    assert_eq!(ed25519(&[0; 31]), Err(SignKeyError::Encoding));
    let rsa = |exponent: &[u8], modulus: &[u8]| {
        SignKey::from_blob(&[ssh_string(b"ssh-rsa"), ssh_string(exponent), ssh_string(modulus)].concat())
    };
    let modulus = |bytes: usize| {
        let mut modulus = vec![0xff; bytes + 1];
        modulus[0] = 0;
        modulus
    };
    assert_eq!(rsa(&[1, 0, 1], &modulus(256)), Err(SignKeyError::RsaBits { found: 2048 }));
    assert_eq!(rsa(&[1, 0, 1], &modulus(1025)), Err(SignKeyError::RsaBits { found: 8200 }));
    assert!(rsa(&[1, 0, 1], &modulus(384)).is_ok());
    assert_eq!(rsa(&[1], &modulus(384)), Err(SignKeyError::Encoding));
    assert_eq!(rsa(&[1, 0, 0], &modulus(384)), Err(SignKeyError::Encoding));
    assert_eq!(rsa(&[0, 1, 0, 1], &modulus(384)), Err(SignKeyError::Encoding));
    assert_eq!(rsa(&[1, 0, 1], &modulus(384)[1..]), Err(SignKeyError::Encoding));
    let p256 = |curve: &[u8], point: &[u8]| {
        SignKey::from_blob(
            &[ssh_string(b"ecdsa-sha2-nistp256"), ssh_string(curve), ssh_string(point)].concat(),
        )
    };
    let off_curve = [vec![4], vec![1; 64]].concat();
    assert_eq!(p256(b"nistp256", &off_curve), Err(SignKeyError::NotOnCurve));
    assert_eq!(p256(b"nistp384", &off_curve), Err(SignKeyError::Encoding));
    assert_eq!(p256(b"nistp256", &off_curve[..33]), Err(SignKeyError::Encoding));
    assert_eq!("ssh-ed25519".parse::<SignKey>(), Err(SignKeyError::Form));
    let p521 = "ecdsa-sha2-nistp521 AAAA".parse::<SignKey>();
    assert_eq!(p521, Err(SignKeyError::Kind { found: "ecdsa-sha2-nistp521".to_owned() }));
}
