//! The host is killed at every step of a run and of an upload: nothing is lost, nothing is half there, and what was live
//! has a definite state.
//!
//! The host that is killed is another process: this test program, started again for the one test that serves.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use entente_host::Host;
use entente_host::client::Client;
use entente_host::messages::{ChunkRange, RunId, RunState};

use crate::fake::{Fake, Script};
use crate::world::{KeyServiceAnswer, Served, World, config, ended, key_service, with_keys};

const DATA: &str = "ENTENTE_TEST_DATA";
const KEYS: &str = "ENTENTE_TEST_KEYS";
const PAUSE: &str = "ENTENTE_TEST_PAUSE";

/// The host that is killed: serves with an enclave that stops for ever before its question of the given number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests, in a process of its own"]
async fn host_process() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let data = Path::new(&data);
    let pause: usize = std::env::var(PAUSE).unwrap().parse().unwrap();
    let endpoint = std::env::var(KEYS).unwrap();
    let world = World::new();
    let platform = Fake::new(move |stream, _| {
        let mut talk = entente_channel::EnclaveEnd::new(stream);
        for (number, ask) in Script::new(&world).asks.iter().enumerate() {
            if number == pause {
                println!("paused");
                std::thread::sleep(Duration::from_secs(60));
            }
            if talk.ask(ask).is_err() {
                return;
            }
        }
        println!("paused");
    });
    let host = Host::with_platform(with_keys(config(data), data, &endpoint), platform).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("serves http://{}", listener.local_addr().unwrap());
    host.serve(listener, std::future::pending()).await.unwrap();
}

struct HostProcess {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    client: Client,
}

impl HostProcess {
    fn start(data: &Path, endpoint: &str, pause: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::host_process", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DATA, data)
            .env(KEYS, endpoint)
            .env(PAUSE, pause.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The test harness begins the line.
        let url = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, url)) = line.split_once("serves ") {
                break url.to_owned();
            }
        };
        let client = Client::open(&url, &data.join("token")).unwrap();
        Self { child, lines, client }
    }

    fn wait_for_pause(&mut self) {
        while !self.lines.next().unwrap().unwrap().contains("paused") {}
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No scratch, no half directory: results and sealed files are those of the database.
fn assert_clean(data: &Path, run: &RunId, state: &RunState) {
    assert_eq!(std::fs::read_dir(data.join("scratch")).unwrap().count(), 0);
    assert_eq!(data.join("results").join(run.as_str()).exists(), *state == RunState::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_a_kill_at_every_step() {
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let world = Arc::new(World::new());
    let (endpoint, _) = key_service(KeyServiceAnswer::Release).await;
    let steps = Script::new(&world).asks.len();
    {
        let host = HostProcess::start(&data, &endpoint, steps);
        world.upload(&host.client, scratch.path()).await;
        host.kill();
    }
    for step in 0..=steps {
        let mut host = HostProcess::start(&data, &endpoint, step);
        let run = host.client.create_run(&world.run()).await.unwrap();
        let host = tokio::task::spawn_blocking(move || {
            host.wait_for_pause();
            host
        });
        host.await.unwrap().kill();

        let platform = Fake::honest(&world);
        let served = Served::start(with_keys(config(&data), &data, &endpoint), platform.clone()).await;
        let found = served.client.run(&run.id).await.unwrap();
        let expected = if step == steps { RunState::Finished } else { RunState::Interrupted };
        assert_eq!(found.state, expected, "step {step}");
        assert_clean(&data, &run.id, &found.state);
        assert_eq!(platform.cleaned().len(), usize::from(step != steps), "step {step}");
        for work in platform.cleaned() {
            assert!(!work.exists());
        }
        if expected == RunState::Interrupted {
            served.client.start_run(&run.id).await.unwrap();
            let again = ended(&served.client, &run.id).await;
            assert_eq!((again.state, again.attempt), (RunState::Finished, 2), "step {step}");
        }
        assert_eq!(served.client.results(&run.id).await.unwrap().results.len(), 2);
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_leave_every_run_definite() {
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let world = Arc::new(World::new());
    let (endpoint, _) = key_service(KeyServiceAnswer::Release).await;
    let host = HostProcess::start(&data, &endpoint, usize::MAX);
    world.upload(&host.client, scratch.path()).await;
    host.kill();
    let mut asked = 0;
    for round in 0..16u64 {
        let host = HostProcess::start(&data, &endpoint, usize::MAX);
        for _ in 0..2 {
            asked += u32::from(host.client.create_run(&world.run()).await.is_ok());
        }
        tokio::time::sleep(Duration::from_millis(round * 9)).await;
        host.kill();
    }
    let served = Served::start(with_keys(config(&data), &data, &endpoint), Fake::honest(&world)).await;
    let runs = served.client.runs(None, 100).await.unwrap().runs;
    assert_eq!(u32::try_from(runs.len()).unwrap(), asked);
    for run in runs {
        let mut run = ended(&served.client, &run.id).await;
        assert_clean_results(&data, &run.id, &run.state);
        if run.state == RunState::Interrupted {
            served.client.start_run(&run.id).await.unwrap();
            run = ended(&served.client, &run.id).await;
        }
        assert_eq!(run.state, RunState::Finished);
        assert_eq!(served.client.results(&run.id).await.unwrap().results.len(), 2);
        served.client.receipt(&run.id).await.unwrap();
    }
    served.end().await;
}

fn assert_clean_results(data: &Path, run: &RunId, state: &RunState) {
    assert_eq!(data.join("results").join(run.as_str()).exists(), *state == RunState::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_a_kill() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let world = World::new();
    let sealed = &world.sealed["bids-ada"];
    let host = HostProcess::start(&data, "http://127.0.0.1:1", 0);
    let client = &host.client;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    let manifest = client.put_manifest(sealed.manifest.bytes()).await.unwrap();
    client.put_manifest_signature(manifest, &sealed.signature).await.unwrap();
    client.put_chunk_list(manifest, &sealed.chunk_list()).await.unwrap();
    client.put_chunk(manifest, 1, &sealed.bytes[1 << 20..2 << 20]).await.unwrap();
    host.kill();
    // What a crash of the machine may leave: a scratch file, and a directory that no record stands for.
    std::fs::write(data.join("scratch/half"), b"half a chunk").unwrap();
    std::fs::create_dir(data.join("sealed").join("0".repeat(96))).unwrap();

    let host = HostProcess::start(&data, "http://127.0.0.1:1", 0);
    let missing = host.client.missing_chunks(manifest).await.unwrap();
    assert_eq!(missing.missing, [ChunkRange { first: 0, last: 0 }, ChunkRange { first: 2, last: 2 }]);
    let path = outer.path().join("sealed");
    std::fs::write(&path, &sealed.bytes).unwrap();
    let file = entente_host::client::SealedFile::new(sealed.manifest.bytes(), &sealed.signature, &path);
    host.client.upload_sealed(file, |_| {}).await.unwrap();
    assert!(host.client.manifest(manifest).await.unwrap().complete);
    host.kill();
    assert_eq!(std::fs::read_dir(data.join("sealed")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(data.join("scratch")).unwrap().count(), 0);
}
