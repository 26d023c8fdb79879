//! A running key service with a simulated root, and clients for it.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use entente_attestation::UnixTime;
use entente_keyservice::sigv4::{AccessKey, Scope, sign};
use entente_keyservice::{AttestationRoot, Credentials, InitOptions, Service, serve};
use entente_testkit::ForgedHypervisor;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ROOT: &str = "arn:aws:iam::111122223333:root";
pub(crate) const HOST: &str = "arn:aws:iam::444455556666:role/entente-host";

pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap())
}

pub(crate) struct Running {
    pub(crate) dir: TempDir,
    pub(crate) hypervisor: ForgedHypervisor,
    pub(crate) address: SocketAddr,
    pub(crate) owner: Credentials,
    pub(crate) host: Credentials,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(|service| service).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Service) -> Service) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hypervisor = ForgedHypervisor::new();
        let root = AttestationRoot::Simulated { certificate_der: hypervisor.root_der().to_vec() };
        let owner = Service::init(dir.path(), &InitOptions::new(ACCOUNT, REGION, root)).unwrap();
        let service = change(Service::open(dir.path()).unwrap());
        let host = service.add_credentials(&HOST.parse().unwrap()).unwrap();
        let (address, stop, task) = run(service).await;
        Self { dir, hypervisor, address, owner, host, stop, task }
    }

    /// Stops the server and starts another one on the same directory.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, hypervisor, owner, host, stop, task, .. } = self;
        stop.send(()).unwrap();
        task.await.unwrap();
        let (address, stop, task) = run(Service::open(dir.path()).unwrap()).await;
        Self { dir, hypervisor, address, owner, host, stop, task }
    }

    /// Sends a request signed with a key of ours.
    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.post_as(&self.owner, target, body, now()).await
    }

    pub(crate) async fn post_as(&self, who: &Credentials, target: &str, body: &str, at: UnixTime) -> Answer {
        let scope = Scope::new(REGION, "kms");
        let host = self.address.to_string();
        let headers =
            sign(&host, &format!("TrentService.{target}"), body.as_bytes(), who.access_key(), &scope, at);
        let headers: Vec<(String, String)> =
            headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect();
        self.send("POST / HTTP/1.1", &headers, body.as_bytes()).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, line: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
        let mut request = format!(
            "{line}\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // A server that has seen enough may have closed.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::parse(&bytes)
    }

    pub(crate) fn audit_log(&self) -> Vec<serde_json::Value> {
        lines(self.dir.path())
    }
}

fn lines(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn run(service: Service) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(Arc::new(service), listener, async move {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    (address, stop, task)
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: serde_json::Value,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, body: serde_json::from_str(body).unwrap_or(serde_json::Value::Null) }
    }

    pub(crate) fn exception(&self) -> &str {
        self.body["__type"].as_str().unwrap_or("")
    }
}

pub(crate) fn access_key(id: &str, secret: &str) -> AccessKey {
    AccessKey::new(id, secret)
}
