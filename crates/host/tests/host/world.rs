//! Parties, an agreement, sealed files and a host that serves on loopback.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use entente_agreement::{
    Agreement, Format, InputEntry, InputSet, Manifest, ManifestTerms, Name, Namespace, SealingId, SignKey,
    sshsig,
};
use entente_attestation::Digest384;
use entente_host::client::{Client, SealedFile};
use entente_host::messages::{NewRun, RunFacts, RunId};
use entente_host::platform::Platform;
use entente_host::{Config, Host, KeyServiceConfig, Limits, Timeouts};
use entente_image::{Application, EnclaveImage};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ANALYSIS: &str = "auction";
pub(crate) const ACCOUNT: &str = "111122223333";
/// Owner and size of each sealed file: one of three chunks, one of one.
pub(crate) const DATASETS: [(&str, &str, usize); 2] =
    [("bids-ada", "ada", 2_500_000), ("bids-bea", "bea", 1_000)];

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) struct Party {
    pair: Ed25519KeyPair,
    key: SignKey,
}

impl Party {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut blob = Vec::new();
        for part in [&b"ssh-ed25519"[..], pair.public_key().as_ref()] {
            blob.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend_from_slice(part);
        }
        Self { key: SignKey::from_blob(&blob).unwrap(), pair }
    }

    pub(crate) fn sign(&self, namespace: Namespace, message: &[u8]) -> Vec<u8> {
        let raw = self.pair.sign(&sshsig::signed_data(namespace, message));
        sshsig::armor(&self.key, namespace, raw.as_ref()).unwrap().into_bytes()
    }
}

pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(crate) signature: Vec<u8>,
}

impl Sealed {
    pub(crate) fn chunk_list(&self) -> Vec<u8> {
        self.bytes.chunks(1 << 20).flat_map(|chunk| *Digest384::of(chunk).as_bytes()).collect()
    }
}

/// Everything that parties bring to a host.
pub(crate) struct World {
    pub(crate) parties: BTreeMap<&'static str, Party>,
    pub(crate) image: EnclaveImage,
    pub(crate) agreement: Agreement,
    pub(crate) sealed: BTreeMap<&'static str, Sealed>,
    pub(crate) inputs: InputSet,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_program(b"\x7fELF of an auction")
    }

    pub(crate) fn with_program(program: &[u8]) -> Self {
        Self::with(program, |text| text)
    }

    /// With an agreement whose text is changed before anybody signs.
    pub(crate) fn with(program: &[u8], edit: impl FnOnce(String) -> String) -> Self {
        let parties: BTreeMap<_, _> = [("ada", Party::new(2)), ("bea", Party::new(3))].into();
        let image = EnclaveImage::application(&Application::new("auction", "0.1.0", program)).unwrap();
        let agreement = Agreement::parse(edit(agreement_text(&parties, &image)).as_bytes()).unwrap();
        let mut sealed = BTreeMap::new();
        for (dataset, owner, size) in DATASETS {
            sealed.insert(dataset, seal(&agreement, dataset, &parties[owner], size));
        }
        let entries = DATASETS
            .iter()
            .map(|(dataset, owner, _)| {
                InputEntry::present(name(dataset), name(owner), sealed[dataset].manifest.digest())
            })
            .collect();
        let inputs = InputSet::new(agreement.digest(), &name(ANALYSIS), 1, entries).unwrap();
        Self { parties, image, agreement, sealed, inputs }
    }

    pub(crate) fn run(&self) -> NewRun {
        NewRun {
            agreement: self.agreement.digest(),
            analysis: ANALYSIS.to_owned(),
            inputs: self.inputs.digest(),
            request: None,
        }
    }

    /// Uploads everything.
    pub(crate) async fn upload(&self, client: &Client, scratch: &Path) {
        let agreement = client.put_agreement(self.agreement.bytes()).await.unwrap();
        for (party, keys) in &self.parties {
            let approval = keys.sign(Namespace::Agreement, self.agreement.bytes());
            client.put_approval(agreement, party, &approval).await.unwrap();
        }
        for (dataset, _, _) in DATASETS {
            let sealed = &self.sealed[dataset];
            let path = scratch.join(dataset);
            std::fs::write(&path, &sealed.bytes).unwrap();
            client
                .upload_sealed(SealedFile::new(sealed.manifest.bytes(), &sealed.signature, &path), |_| {})
                .await
                .unwrap();
        }
        let inputs = client.put_inputs(self.inputs.bytes()).await.unwrap();
        for (party, keys) in &self.parties {
            let signature = keys.sign(Namespace::Inputs, self.inputs.bytes());
            client.put_inputs_signature(inputs, party, &signature).await.unwrap();
        }
        client.put_image(*self.image.measurements().pcr0(), self.image.bytes()).await.unwrap();
    }
}

pub(crate) fn seal(agreement: &Agreement, dataset: &str, owner: &Party, size: usize) -> Sealed {
    let slot = agreement.dataset(&name(dataset)).unwrap();
    let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let list: Vec<u8> = bytes.chunks(1 << 20).flat_map(|chunk| *Digest384::of(chunk).as_bytes()).collect();
    let manifest = Manifest::new(&ManifestTerms {
        agreement: agreement.digest(),
        dataset: slot.name().clone(),
        owner: slot.owner().clone(),
        sealing: SealingId::from_bytes([7; 16]),
        format: Format::Parquet,
        bytes: u64::try_from(size).unwrap(),
        chunks: Digest384::of(&list),
        wrapped_key: format!("wrapped {dataset}").into_bytes(),
        commitment: [5; 48],
    })
    .unwrap();
    let signature = owner.sign(Namespace::Manifest, manifest.bytes());
    Sealed { bytes, manifest, signature }
}

fn agreement_text(parties: &BTreeMap<&'static str, Party>, image: &EnclaveImage) -> String {
    let measured = image.measurements();
    let (pcr0, pcr1, pcr2) = (measured.pcr0(), measured.pcr1(), measured.pcr2());
    let (ada, bea) = (parties["ada"].key.to_openssh(), parties["bea"].key.to_openssh());
    let (key_ada, key_bea) = (
        format!("arn:aws:kms:eu-central-1:{ACCOUNT}:key/0b6f7f5c-9c1e-4a59-8b1e-2f1c7a3d5e01"),
        format!("arn:aws:kms:eu-central-1:{ACCOUNT}:key/0b6f7f5c-9c1e-4a59-8b1e-2f1c7a3d5e02"),
    );
    format!(
        r#"type = "entente/agreement/v1"
serial = "8f14e45fceea167a5a36dedd4bea2543"
supersedes = ""
not_before = "2026-01-01T00:00:00Z"
not_after = "2027-01-01T00:00:00Z"
root = "simulated:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

[[party]]
name = "ada"
sign_key = "{ada}"
result_key = "age1q549qae6erv3wuljmjtx9cf0phh7j90yzku2rj8zpfdr664jhppsrj44kg"

[[party]]
name = "bea"
sign_key = "{bea}"
result_key = "age1r9lu93t8msp7u24d7rkcv6qa4sjd4fmws0992kr4m5a7wdmw2vrq4tn22d"

[[image]]
name = "auction"
pcr0 = "{pcr0}"
pcr1 = "{pcr1}"
pcr2 = "{pcr2}"

[[dataset]]
name = "bids-ada"
owner = "ada"
format = "parquet"
schema = ["lot text(40)", "amount decimal(18,2)"]
max_bytes = 4194304
max_rows = 1000
pad = true
key = "{key_ada}"

[[dataset]]
name = "bids-bea"
owner = "bea"
format = "parquet"
schema = ["lot text(40)", "amount decimal(18,2)"]
max_bytes = 4194304
max_rows = 1000
pad = true
optional = true
key = "{key_bea}"

[[analysis]]
name = "auction"
image = "auction"
datasets = ["bids-ada", "bids-bea"]
authorize = "inputs"
runners = ["ada"]
rounds = 1
memory_mib = 64

[analysis.parameters]

[analysis.disclosure]

[[analysis.output]]
recipient = "ada"
name = "own"
bytes = 1048576

[[analysis.output]]
recipient = "bea"
name = "own"
bytes = 16384
"#
    )
}

/// A host that serves in a task of this process.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) token: String,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(config: Config, platform: impl Platform) -> Self {
        let host = Host::with_platform(config, platform).unwrap();
        let token_path = host.token_path().to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            host.serve(listener, async {
                let _ = ended.await;
            })
            .await
            .unwrap();
        });
        let token = std::fs::read_to_string(&token_path).unwrap().trim().to_owned();
        let client = Client::open(&url, &token_path).unwrap();
        Self { client, url, token, shutdown: Some(shutdown), task }
    }

    pub(crate) async fn end(mut self) {
        let _ = self.shutdown.take().unwrap().send(());
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
    }
}

/// Short waits, small sizes.
pub(crate) fn config(data: &Path) -> Config {
    Config::new(data).with_timeouts(timeouts()).with_limits(Limits::default()).unwrap()
}

pub(crate) fn timeouts() -> Timeouts {
    Timeouts {
        header: Duration::from_secs(2),
        request: Duration::from_secs(20),
        transfer: Duration::from_secs(20),
        boot: Duration::from_secs(10),
        ask: Duration::from_secs(10),
        run: Duration::from_secs(30),
        key: Duration::from_secs(5),
        end: Duration::from_millis(500),
    }
}

/// A configuration whose keys are at this endpoint.
pub(crate) fn with_keys(config: Config, data: &Path, endpoint: &str) -> Config {
    use std::os::unix::fs::PermissionsExt;
    let secret = data.parent().unwrap().join("secret");
    std::fs::write(&secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    config
        .with_key_service(KeyServiceConfig {
            account: ACCOUNT.to_owned(),
            endpoint: endpoint.to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key_file: secret,
        })
        .unwrap()
}

/// Waits for a run's end, at most 30 s.
pub(crate) async fn ended(client: &Client, id: &RunId) -> RunFacts {
    tokio::time::timeout(Duration::from_secs(30), client.wait_for_run(id, |_| {})).await.unwrap().unwrap()
}

/// What a key service was asked.
#[derive(Default)]
pub(crate) struct Asked(pub(crate) std::sync::Mutex<Vec<serde_json::Value>>);

/// A key service of one answer, and the questions it got.
pub(crate) async fn key_service(answer: KeyServiceAnswer) -> (String, Arc<Asked>) {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    let asked = Arc::new(Asked::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let seen = asked.clone();
    let handler = move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
        let seen = seen.clone();
        async move {
            assert_eq!(headers["x-amz-target"], "TrentService.Decrypt");
            assert!(headers["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 "));
            seen.0.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            let (status, json) = match answer {
                KeyServiceAnswer::Release => {
                    (StatusCode::OK, r#"{"KeyId":"k","CiphertextForRecipient":"c2VhbGVkIGtleQ=="}"#)
                }
                KeyServiceAnswer::Plaintext => {
                    (StatusCode::OK, r#"{"KeyId":"k","Plaintext":"c2VhbGVkIGtleQ=="}"#)
                }
                KeyServiceAnswer::Deny => {
                    (StatusCode::BAD_REQUEST, r#"{"__type":"AccessDeniedException","message":"no"}"#)
                }
                KeyServiceAnswer::Never => std::future::pending().await,
            };
            (status, [("content-type", "application/x-amz-json-1.1")], json).into_response()
        }
    };
    let router = axum::Router::new().route("/", axum::routing::post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, asked)
}

#[derive(Clone, Copy)]
pub(crate) enum KeyServiceAnswer {
    Release,
    Plaintext,
    Deny,
    Never,
}
