//! The owner's client against a key service that speaks the AWS KMS protocol.

use crate::world::name;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_kms::primitives::Blob;
use entente_agreement::{KeyArn, SealingId};
use entente_attestation::Digest384;
use entente_keyservice::{AttestationRoot, InitOptions, Service, serve};
use entente_party::{
    KeyPolicies, KeyServiceError, KeyWrapper, KmsCredentials, KmsKeyService, encryption_context,
};
use entente_release::policy::KeyPolicy;
use entente_sealing::{Binding, DatasetKey};
use std::sync::Arc;

#[test]
fn the_client_wraps_keys_and_changes_policies() {
    let directory = tempfile::tempdir().unwrap();
    let options = InitOptions::new("111122223333", "eu-central-1", AttestationRoot::AwsNitro);
    let owner = Service::init(directory.path(), &options).unwrap();
    let (id, secret) = (owner.access_key().id().to_owned(), owner.access_key().expose_secret().to_owned());
    let service = Arc::new(Service::open(directory.path()).unwrap());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = runtime.spawn(serve(service, listener, async {
        let _ = stopped.await;
    }));

    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new(&id, &secret, None, None, "test"))
        .endpoint_url(&endpoint)
        .build();
    let client = Client::from_conf(config);
    let created = runtime.block_on(client.create_key().send()).unwrap();
    let arn = KeyArn::new(created.key_metadata().unwrap().arn().unwrap()).unwrap();

    let credentials = KmsCredentials::Static { access_key_id: id, secret_access_key: secret };
    let keys = KmsKeyService::at(&endpoint, credentials.clone());
    let binding = Binding {
        agreement: Digest384::of(b"agreement"),
        dataset: name("bids-north"),
        sealing: SealingId::from_bytes([9; 16]),
    };
    let key = DatasetKey::generate().unwrap();
    let blob = keys.wrap(&arn, &key, &binding).unwrap();
    let context = encryption_context(&binding).map(|(name, value)| (name.to_owned(), value));
    let opened = runtime
        .block_on(
            client
                .decrypt()
                .ciphertext_blob(Blob::new(blob))
                .set_encryption_context(Some(context.into_iter().collect()))
                .send(),
        )
        .unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), key.expose_for_wrapping());

    let policy = KeyPolicy::parse(&keys.policy(&arn).unwrap()).unwrap();
    keys.put_policy(&arn, &policy.to_json()).unwrap();
    assert_eq!(KeyPolicy::parse(&keys.policy(&arn).unwrap()).unwrap().to_json(), policy.to_json());
    assert!(matches!(
        keys.put_policy(&arn, "{}"),
        Err(KeyServiceError::Refused { operation: "PutKeyPolicy", .. })
    ));

    stop.send(()).unwrap();
    runtime.block_on(server).unwrap().unwrap();
    assert!(matches!(
        KmsKeyService::at(&endpoint, credentials).policy(&arn),
        Err(KeyServiceError::Unreachable { operation: "GetKeyPolicy", .. })
    ));
}
