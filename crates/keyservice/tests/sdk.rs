//! AWS's own SDK against this service.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials as SdkCredentials, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyEncryptionMechanism, KeyState, RecipientInfo};
use entente_keyservice::{Credentials, LedgerRefusal, PendingRelease, ReleaseLedger};
use entente_release::recipient::RecipientKey;
use entente_testkit::Attestation;
use support::{ACCOUNT, HOST, REGION, ROOT, Running, now};

fn client(running: &Running, who: &Credentials) -> Client {
    let key = who.access_key();
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{}", running.address))
        .credentials_provider(SdkCredentials::new(key.id(), key.expose_secret(), None, None, "test"))
        .build();
    Client::from_conf(config)
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata, R>(outcome: Result<T, SdkError<E, R>>) -> String {
    outcome
        .err()
        .and_then(|error| error.code().map(str::to_owned))
        .unwrap_or_else(|| "no exception".to_owned())
}

async fn create(owner: &Client) -> String {
    owner.create_key().send().await.unwrap().key_metadata().unwrap().arn().unwrap().to_owned()
}

#[tokio::test]
async fn keys_live_and_die() {
    let running = Running::start().await;
    let owner = client(&running, &running.owner);
    let made = owner.create_key().description("bids of north").send().await.unwrap();
    let metadata = made.key_metadata().unwrap();
    let arn = metadata.arn().unwrap().to_owned();
    assert_eq!(arn, format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", metadata.key_id()));
    assert_eq!(metadata.description(), Some("bids of north"));
    let age = now().as_millis() / 1000 - u64::try_from(metadata.creation_date().unwrap().secs()).unwrap();
    assert!(age < 60);

    for name in [arn.as_str(), metadata.key_id()] {
        let described = owner.describe_key().key_id(name).send().await.unwrap();
        assert_eq!(described.key_metadata().unwrap().key_state(), Some(&KeyState::Enabled));
    }
    let second = create(&owner).await;
    let page = owner.list_keys().limit(1).send().await.unwrap();
    assert!(page.truncated());
    let rest = owner.list_keys().marker(page.next_marker().unwrap()).send().await.unwrap();
    let mut listed: Vec<_> =
        page.keys().iter().chain(rest.keys()).map(|key| key.key_arn().unwrap().to_owned()).collect();
    listed.sort();
    let mut expected = vec![arn.clone(), second];
    expected.sort();
    assert_eq!(listed, expected);

    let sealed = owner.encrypt().key_id(&arn).plaintext(Blob::new("x")).send().await.unwrap();
    let blob = sealed.ciphertext_blob().unwrap().clone();
    owner.disable_key().key_id(&arn).send().await.unwrap();
    assert_eq!(code(owner.decrypt().ciphertext_blob(blob.clone()).send().await), "DisabledException");
    owner.enable_key().key_id(&arn).send().await.unwrap();
    let opened = owner.decrypt().ciphertext_blob(blob.clone()).send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"x");
    assert_eq!(opened.key_id(), Some(arn.as_str()));

    assert_eq!(code(owner.cancel_key_deletion().key_id(&arn).send().await), "KMSInvalidStateException");
    owner.schedule_key_deletion().key_id(&arn).pending_window_in_days(7).send().await.unwrap();
    assert_eq!(code(owner.decrypt().ciphertext_blob(blob.clone()).send().await), "KMSInvalidStateException");
    assert_eq!(code(owner.enable_key().key_id(&arn).send().await), "KMSInvalidStateException");
    owner.cancel_key_deletion().key_id(&arn).send().await.unwrap();
    let described = owner.describe_key().key_id(&arn).send().await.unwrap();
    assert_eq!(described.key_metadata().unwrap().key_state(), Some(&KeyState::Disabled));

    // Everything is there after a restart.
    owner.enable_key().key_id(&arn).send().await.unwrap();
    let running = running.restart().await;
    let owner = client(&running, &running.owner);
    let opened = owner.decrypt().ciphertext_blob(blob).send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"x");
}

#[tokio::test]
async fn ciphertexts_are_bound_to_key_and_context() {
    let running = Running::start().await;
    let owner = client(&running, &running.owner);
    let (arn, other) = (create(&owner).await, create(&owner).await);
    let sealed = owner
        .encrypt()
        .key_id(&arn)
        .plaintext(Blob::new(vec![7; 4096]))
        .encryption_context("entente-dataset", "bids")
        .send()
        .await
        .unwrap();
    let blob = sealed.ciphertext_blob().unwrap().clone();
    assert!(blob.as_ref().len() <= 6144);
    let opened = owner
        .decrypt()
        .ciphertext_blob(blob.clone())
        .key_id(&arn)
        .encryption_context("entente-dataset", "bids")
        .send()
        .await
        .unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), [7; 4096]);
    let decrypt = || owner.decrypt().ciphertext_blob(blob.clone());
    assert_eq!(code(decrypt().send().await), "InvalidCiphertextException");
    assert_eq!(
        code(decrypt().encryption_context("entente-dataset", "offers").send().await),
        "InvalidCiphertextException"
    );
    let other_key = decrypt().key_id(&other).encryption_context("entente-dataset", "bids");
    assert_eq!(code(other_key.send().await), "IncorrectKeyException");
    let mut changed = blob.as_ref().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let tampered =
        owner.decrypt().ciphertext_blob(Blob::new(changed)).encryption_context("entente-dataset", "bids");
    assert_eq!(code(tampered.send().await), "InvalidCiphertextException");

    let data_key = owner.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256).send().await.unwrap();
    let opened =
        owner.decrypt().ciphertext_blob(data_key.ciphertext_blob().unwrap().clone()).send().await.unwrap();
    assert_eq!(data_key.plaintext().unwrap().as_ref().len(), 32);
    assert_eq!(opened.plaintext(), data_key.plaintext());
    let without =
        owner.generate_data_key_without_plaintext().key_id(&arn).number_of_bytes(64).send().await.unwrap();
    let opened =
        owner.decrypt().ciphertext_blob(without.ciphertext_blob().unwrap().clone()).send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref().len(), 64);
    let random = owner.generate_random().number_of_bytes(24).send().await.unwrap();
    assert_eq!(random.plaintext().unwrap().as_ref().len(), 24);
}

#[tokio::test]
async fn policies_decide() {
    let running = Running::start().await;
    let (owner, host) = (client(&running, &running.owner), client(&running, &running.host));
    let arn = create(&owner).await;
    assert_eq!(code(host.describe_key().key_id(&arn).send().await), "AccessDeniedException");
    assert_eq!(code(host.create_key().send().await), "AccessDeniedException");
    assert_eq!(code(host.list_keys().send().await), "AccessDeniedException");
    let got = owner.get_key_policy().key_id(&arn).send().await.unwrap();
    assert!(got.policy().unwrap().contains("kms:*"));

    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Principal":{{"AWS":"{ROOT}"}},"Action":"kms:*","Resource":"*"}},
            {{"Sid":"encrypt","Effect":"Allow","Principal":{{"AWS":"{HOST}"}},"Action":"kms:Encrypt","Resource":"*",
              "Condition":{{"StringEquals":{{"kms:EncryptionContext:for":"host"}}}}}}]}}"#
    );
    owner.put_key_policy().key_id(&arn).policy(&policy).send().await.unwrap();
    let got = owner.get_key_policy().key_id(&arn).policy_name("default").send().await.unwrap();
    assert_eq!(got.policy(), Some(policy.as_str()));
    let encrypt = || host.encrypt().key_id(&arn).plaintext(Blob::new("x"));
    assert_eq!(code(encrypt().send().await), "AccessDeniedException");
    let sealed = encrypt().encryption_context("for", "host").send().await.unwrap();
    let blob = sealed.ciphertext_blob().unwrap().clone();
    let refused =
        host.decrypt().ciphertext_blob(blob).encryption_context("for", "host").send().await.unwrap_err();
    assert_eq!(
        refused.message(),
        Some(
            format!(
                "User: {HOST} is not authorized to perform: kms:Decrypt on resource: {arn} because no resource-based policy \
                 allows the kms:Decrypt action"
            )
            .as_str()
        )
    );

    for bad in [
        "{".to_owned(),
        policy.replace("StringEquals", "StringMatches"),
        policy.replace("kms:EncryptionContext:for", "kms:Nothing"),
        // Nobody could change it again.
        policy.replace(ROOT, "arn:aws:iam::111122223333:user/nobody"),
        format!("{policy}{}", " ".repeat(32_768)),
    ] {
        let put = owner.put_key_policy().key_id(&arn).policy(bad).send().await;
        assert_eq!(code(put), "MalformedPolicyDocumentException");
    }
    let locked = policy.replace(ROOT, "arn:aws:iam::111122223333:user/nobody");
    let bypass = owner.put_key_policy().key_id(&arn).policy(locked).bypass_policy_lockout_safety_check(true);
    bypass.send().await.unwrap();
    assert_eq!(code(owner.get_key_policy().key_id(&arn).send().await), "AccessDeniedException");

    let log = running.audit_log();
    let allowed =
        log.iter().find(|line| line["eventName"] == "Encrypt" && line.get("errorCode").is_none()).unwrap();
    assert_eq!(allowed["userIdentity"]["arn"], HOST);
    assert_eq!(allowed["decisions"][0]["statementSid"], "encrypt");
    assert_eq!(allowed["encryptionContext"]["for"], "host");
    assert!(log.iter().any(|line| line["errorCode"] == "MalformedPolicyDocumentException"));
}

struct Enclave {
    key: RecipientKey,
    attestation: Attestation,
}

impl Enclave {
    fn new() -> Self {
        let key = RecipientKey::generate().unwrap();
        let attestation = Attestation::at(now().as_millis())
            .with_measurements(&[0xa0; 48], &[0xa1; 48], &[0xa2; 48])
            .with_pcr(16, &[0xb0; 48])
            .with_pcr(17, &[0xb1; 48])
            .with_public_key(key.spki_der());
        Self { key, attestation }
    }
}

fn recipient(document: Vec<u8>) -> RecipientInfo {
    RecipientInfo::builder()
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .attestation_document(Blob::new(document))
        .build()
}

fn release_policy() -> String {
    let pcr = |number: u8, byte: u8| {
        format!(r#""kms:RecipientAttestation:PCR{number}":"{}""#, format!("{byte:02x}").repeat(48))
    };
    format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Principal":{{"AWS":"{ROOT}"}},"Action":"kms:*","Resource":"*"}},
            {{"Sid":"release","Effect":"Allow","Principal":{{"AWS":"{HOST}"}},"Action":["kms:Decrypt","kms:GenerateDataKey"],
              "Resource":"*","Condition":{{
                "StringEqualsIgnoreCase":{{{},{},{},{},{}}},
                "StringEquals":{{"kms:EncryptionContext:entente-dataset":"bids"}}}}}}]}}"#,
        pcr(0, 0xa0),
        pcr(1, 0xa1),
        pcr(2, 0xa2),
        pcr(16, 0xb0),
        pcr(17, 0xb1)
    )
}

#[tokio::test]
async fn keys_are_released_to_the_attested_enclave_alone() {
    let running = Running::start().await;
    let (owner, host) = (client(&running, &running.owner), client(&running, &running.host));
    let arn = create(&owner).await;
    owner.put_key_policy().key_id(&arn).policy(release_policy()).send().await.unwrap();
    let sealed = owner
        .encrypt()
        .key_id(&arn)
        .plaintext(Blob::new([0x5a; 32]))
        .encryption_context("entente-dataset", "bids")
        .send()
        .await
        .unwrap();
    let blob = sealed.ciphertext_blob().unwrap().clone();
    let decrypt = || {
        host.decrypt()
            .key_id(&arn)
            .ciphertext_blob(blob.clone())
            .encryption_context("entente-dataset", "bids")
    };
    let enclave = Enclave::new();
    let attest = |attestation: &Attestation| recipient(running.hypervisor.attest(attestation));

    let answer = decrypt().recipient(attest(&enclave.attestation)).send().await.unwrap();
    assert!(answer.plaintext().is_none());
    let envelope = answer.ciphertext_for_recipient().unwrap().as_ref();
    assert_eq!(*enclave.key.unwrap(envelope, [0; 32]).expose_secret(), [0x5a; 32]);

    let data_key = host
        .generate_data_key()
        .key_id(&arn)
        .key_spec(DataKeySpec::Aes256)
        .encryption_context("entente-dataset", "bids")
        .recipient(attest(&enclave.attestation))
        .send()
        .await
        .unwrap();
    assert!(data_key.plaintext().is_none());
    let inside = enclave.key.unwrap_any(data_key.ciphertext_for_recipient().unwrap().as_ref()).unwrap();
    let opened = owner
        .decrypt()
        .ciphertext_blob(data_key.ciphertext_blob().unwrap().clone())
        .encryption_context("entente-dataset", "bids")
        .send()
        .await
        .unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), inside.as_slice());

    assert_eq!(code(decrypt().send().await), "AccessDeniedException", "no Recipient");
    let good = &enclave.attestation;
    for (name, attestation) in [
        ("another image", good.clone().with_pcr(0, &[1; 48])),
        ("another agreement", good.clone().with_pcr(16, &[1; 48])),
        ("another input set", good.clone().with_pcr(17, &[1; 48])),
        ("debug mode", good.clone().in_debug_mode()),
    ] {
        let refused = decrypt().recipient(attest(&attestation)).send().await;
        assert_eq!(code(refused), "AccessDeniedException", "{name}");
    }
    let wrong_context = host
        .decrypt()
        .key_id(&arn)
        .ciphertext_blob(blob.clone())
        .encryption_context("entente-dataset", "offers")
        .recipient(attest(good));
    assert_eq!(code(wrong_context.send().await), "AccessDeniedException");
    let more_context = decrypt().encryption_context("more", "x").recipient(attest(good));
    assert_eq!(code(more_context.send().await), "InvalidCiphertextException");

    let day = 86_400_000;
    let at = |millis: u64| {
        let mut attestation = good.clone();
        attestation.time = millis;
        running.hypervisor.attest(&attestation)
    };
    let mut flipped = running.hypervisor.attest(good);
    *flipped.last_mut().unwrap() ^= 1;
    let mut keyless = good.clone();
    keyless.public_key = None;
    for (name, document) in [
        ("expired", at(now().as_millis() - day)),
        ("from the future", at(now().as_millis() + day)),
        ("a signature that does not fit", flipped),
        ("another root", entente_testkit::ForgedHypervisor::new().attest(good)),
        ("no key", running.hypervisor.attest(&keyless)),
        ("a key that is none", running.hypervisor.attest(&good.clone().with_public_key(&[1; 294]))),
        ("no document", b"x".to_vec()),
        ("a large one", vec![0x84; 262_144]),
    ] {
        let refused = decrypt().recipient(recipient(document)).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("ValidationException"), "{name}");
        assert_eq!(refused.message(), Some("The attestation document is not valid."), "{name}");
    }
    let log = running.audit_log();
    let released = log
        .iter()
        .find(|line| line["eventName"] == "Decrypt" && line["decisions"][0]["statementSid"] == "release")
        .unwrap();
    assert_eq!(released["recipient"]["registers"]["attestationDocumentEnclavePCR16"], "b0".repeat(48));
    // No secret is in the log.
    let text = std::fs::read_to_string(running.dir.path().join("audit.jsonl")).unwrap();
    let secret = running.owner.access_key().expose_secret();
    assert!(!text.contains(secret) && !text.contains("WlpaWlpa"));
}

struct Two(AtomicUsize);

impl ReleaseLedger for Two {
    fn debit(&self, _release: &PendingRelease) -> Result<(), LedgerRefusal> {
        let before = self.0.fetch_add(1, Ordering::SeqCst);
        if before < 2 { Ok(()) } else { Err(LedgerRefusal::new("two releases were made")) }
    }
}

#[tokio::test]
async fn a_ledger_can_refuse_what_policy_allows() {
    let running = Running::start_with(|service| service.with_ledger(Two(AtomicUsize::new(0)))).await;
    let owner = client(&running, &running.owner);
    let arn = create(&owner).await;
    let sealed = owner.encrypt().key_id(&arn).plaintext(Blob::new("x")).send().await.unwrap();
    let blob = sealed.ciphertext_blob().unwrap();
    for expected in ["no exception", "no exception", "LimitExceededException"] {
        assert_eq!(code(owner.decrypt().ciphertext_blob(blob.clone()).send().await), expected);
    }
}
