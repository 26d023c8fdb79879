//! The local platform with the real simulated hypervisor, where it is built.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use entente_host::client::Client;
use entente_host::messages::{FailureReason, RunId, RunState};
use entente_host::platform::Local;
use entente_host::{Config, Host};

use crate::world::{Served, World, config, ended};

const DATA: &str = "ENTENTE_TEST_LOCAL_DATA";
const SLEEPER: &[u8] = b"#!/bin/sh\nexec sleep 1000\n";

/// Whether `entente-hypervisor-sim` is beside this program. CI builds it first.
fn is_built() -> bool {
    let program: PathBuf =
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("entente-hypervisor-sim");
    if program.is_file() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{} is not built", program.display());
    println!("skipped: {} is not built", program.display());
    false
}

/// Processes whose command line names this directory.
fn processes_of(directory: &Path) -> usize {
    let name = directory.to_str().unwrap().as_bytes();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| line.windows(name.len()).any(|part| part == name))
        .count()
}

#[tokio::test]
async fn an_enclave_that_ends_at_once_ends_its_run() {
    if !is_built() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let world = World::with_program(b"#!/bin/sh\nexit 3\n");
    let config = config(&data);
    let local = Local::new(&config).unwrap();
    assert!(local.root_certificate().is_file());
    let served = Served::start(config, local).await;
    world.upload(&served.client, scratch.path()).await;
    let run = served.client.create_run(&world.run()).await.unwrap();
    let run = ended(&served.client, &run.id).await;
    let RunState::Failed { reason: FailureReason::Ended, .. } = run.state else { panic!("{:?}", run.state) };
    served.end().await;
    assert_eq!(processes_of(&data), 0);
}

#[tokio::test]
async fn a_stopped_run_leaves_no_process() {
    if !is_built() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let world = World::with_program(SLEEPER);
    let config = config(&data);
    let local = Local::new(&config).unwrap();
    let served = Served::start(config, local).await;
    world.upload(&served.client, scratch.path()).await;
    let run = served.client.create_run(&world.run()).await.unwrap();
    wait_for_process(&data, &served.client, &run.id).await;
    assert_eq!(served.client.stop_run(&run.id).await.unwrap().state, RunState::Stopped);
    assert_eq!(processes_of(&data), 0);
    // And by the host's own orderly end.
    served.client.start_run(&run.id).await.unwrap();
    wait_for_process(&data, &served.client, &run.id).await;
    served.end().await;
    assert_eq!(processes_of(&data), 0);
}

async fn wait_for_process(data: &Path, client: &Client, run: &RunId) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_of(data) == 0 {
        assert!(Instant::now() < deadline, "{:?}", client.run(run).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The host that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests, in a process of its own"]
async fn host_process() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let host = Host::open(Config::new(&data)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(
        Path::new(&data).with_extension("url"),
        format!("http://{}", listener.local_addr().unwrap()),
    )
    .unwrap();
    host.serve(listener, std::future::pending()).await.unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a host in a process of its own, an enclave on it, and kills the host.
async fn killed_while_an_enclave_lives(data: &Path, scratch: &Path) -> RunId {
    let world = World::with_program(SLEEPER);
    let mut host = Killed(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::host_process", "--ignored", "--nocapture"])
            .env(DATA, data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    let url = loop {
        match std::fs::read_to_string(data.with_extension("url")) {
            Ok(url) if !url.is_empty() => break url,
            _ => assert!(Instant::now() < deadline),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let client = Client::open(&url, &data.join("token")).unwrap();
    world.upload(&client, scratch).await;
    let run = client.create_run(&world.run()).await.unwrap();
    wait_for_process(data, &client, &run.id).await;
    host.0.kill().unwrap();
    host.0.wait().unwrap();
    run.id
}

#[tokio::test]
async fn a_killed_host_takes_its_enclaves_with_it() {
    if !is_built() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    killed_while_an_enclave_lives(&data, scratch.path()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_of(&data) > 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_a_killed_host_left_running_is_ended_by_the_next_one() {
    if !is_built() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let data = outer.path().join("host");
    let run = killed_while_an_enclave_lives(&data, scratch.path()).await;

    let config = config(&data);
    let local = Local::new(&config).unwrap();
    let served = Served::start(config, local).await;
    assert_eq!(served.client.run(&run).await.unwrap().state, RunState::Interrupted);
    assert_eq!(processes_of(&data), 0);
    served.end().await;
}
