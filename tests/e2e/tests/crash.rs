//! `kill -9` of every process at many moments: nothing lost, nothing half-written, a definite state.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use entente_e2e::{Numbers, Play, descendants, files_below, finish, signal, stock, until};
use rustix::process::Signal;

const BOUND: Duration = Duration::from_secs(60);

fn sha384(path: &Path) -> String {
    stock(Path::new("/"), "sha384sum", &[path.to_str().unwrap()]).stdout.split(' ').next().unwrap().to_owned()
}

/// The name of a run's state.
fn state(run: &serde_json::Value) -> String {
    let state = &run["state"];
    let name = state.as_str().or_else(|| state["state"].as_str()).or_else(|| state["name"].as_str());
    name.unwrap_or_else(|| panic!("{run}")).to_owned()
}

/// What is under its name in the host's data directory is whole; only `scratch` may hold remains of what a kill cut off.
fn nothing_is_half_written(play: &Play) {
    let data = play.path("host");
    for file in files_below(&data.join("images")) {
        let measured = play.entente(&["image", "measure", file.to_str().unwrap(), "--json"]);
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(measured.json()["PCR0"], stem);
    }
    for run in fs::read_dir(data.join("results")).unwrap() {
        let run = run.unwrap().path();
        let receipt = run.join("receipt.json");
        // A run's directory appears whole: receipt, index and every file that the receipt names.
        let said = play.entente(&["receipt", "show", receipt.to_str().unwrap(), "--json"]);
        assert_eq!(said.code, 0, "{}: {said}", run.display());
        for result in said.json()["results"].as_array().unwrap() {
            let file = run.join(result["name"].as_str().unwrap());
            assert_eq!(result["sha384"], sha384(&file), "{}", file.display());
        }
    }
    for file in files_below(&data.join("sealed")) {
        let length = fs::metadata(&file).unwrap().len();
        assert!(length > 0, "{}", file.display());
    }
    for file in files_below(&data) {
        let inside = file.strip_prefix(&data).unwrap();
        let top = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        let known = [
            "host.lock",
            "token",
            "facts.redb",
            "scratch",
            "images",
            "sealed",
            "results",
            "run",
            "runs",
            "ca",
        ];
        assert!(known.contains(&top.as_str()), "{}", inside.display());
        let name = inside.file_name().unwrap().to_string_lossy().into_owned();
        assert!(top == "scratch" || !name.contains("tmp"), "{}", inside.display());
    }
}

/// After a kill and a restart every run has ended or is being worked on, and the same set gives the same archives.
fn all_is_well(play: &Play, out: &str) {
    until("runs have ended", || {
        play.runs().iter().all(|run| {
            ["finished", "halted", "failed", "interrupted", "stopped"].contains(&state(run).as_str())
        })
    });
    nothing_is_half_written(play);
    let done = play.run(out);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(play.opened(&format!("{out}/receipt.json")), play.opened("results/receipt.json"));
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for the end of a child, within a bound.
fn reap(mut child: Child) {
    let end = Instant::now() + BOUND;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many runs a kill really cut off: a sweep that never met one would show nothing.
fn cut_off(play: &Play) -> usize {
    play.runs().iter().filter(|run| state(run) != "finished").count()
}

/// Delays of a sweep over a run, in milliseconds, and a few at random.
fn delays(seed: u64) -> Vec<u64> {
    let mut numbers = Numbers::new(seed);
    let mut all: Vec<u64> = (0..8).map(|step| step * 55).collect();
    all.extend((0..3).map(|_| u64::try_from(numbers.below(450)).unwrap()));
    all
}

#[test]
fn the_host_is_killed() {
    let mut play = Play::start();
    for (index, delay) in delays(11).into_iter().enumerate() {
        let started = spawn(play.run_command(&format!("killed-{index}")));
        std::thread::sleep(Duration::from_millis(delay));
        let below = descendants(play.host().id());
        play.stop_host();
        reap(started);
        // No enclave outlives its host.
        until("the enclave is gone", || {
            below.iter().all(|(id, name)| {
                !fs::read_to_string(format!("/proc/{id}/stat"))
                    .is_ok_and(|stat| stat.contains(&format!("({name})")) && !stat.contains(") Z "))
            })
        });
        nothing_is_half_written(&play);
        play.serve_host();
    }
    assert!(cut_off(&play) >= 2, "{:?}", play.runs());
    all_is_well(&play, "after");
    // Whatever was fetched before a kill is whole.
    for index in 0..11 {
        let out = play.path(&format!("killed-{index}"));
        if out.join("own.north.age").exists() {
            let file = format!("killed-{index}/own.north.age");
            let done = play.open(
                "north",
                &file,
                &format!("killed-{index}/receipt.json"),
                &format!("opened-{index}"),
            );
            assert_eq!(done.code, 0, "{done}");
        }
    }
}

/// Kills descendants of the host whose program has this name, at many moments of runs.
fn kill_below(which: &str, seed: u64) {
    let play = Play::start();
    let mut killed = 0;
    for (index, delay) in delays(seed).into_iter().enumerate() {
        let started = spawn(play.run_command(&format!("killed-{index}")));
        let end = Instant::now() + Duration::from_secs(5);
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < end {
            found = descendants(play.host().id())
                .into_iter()
                .filter(|(_, name)| name.starts_with(which))
                .collect();
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(delay / 3));
        for (id, _) in &found {
            signal(*id, Signal::KILL);
            killed += 1;
        }
        reap(started);
        nothing_is_half_written(&play);
    }
    assert!(killed >= 3, "{killed}");
    assert!(cut_off(&play) >= 2, "{:?}", play.runs());
    // The host lived on.
    all_is_well(&play, "after");
}

#[test]
fn the_simulated_hypervisor_is_killed() {
    kill_below("entente-hypervi", 12);
}

#[test]
fn the_enclave_program_is_killed() {
    kill_below("app", 13);
}

#[test]
fn a_key_service_is_killed() {
    let mut play = Play::start();
    for (index, delay) in delays(14).into_iter().enumerate() {
        let started = spawn(play.run_command(&format!("killed-{index}")));
        std::thread::sleep(Duration::from_millis(delay));
        signal(play.keys_id("north"), Signal::KILL);
        reap(started);
        play.serve_keys("north");
        play.serve_host();
    }
    all_is_well(&play, "after");
    // Its policy survived: the round stays with its set.
    let same = play.sign_inputs("north", "inputs.toml", "sealed");
    assert_eq!(same.code, 0, "{same}");
}

#[test]
fn push_and_fetch_are_killed_and_repeated() {
    let mut play = Play::copy();
    fs::remove_dir_all(play.path("host")).unwrap();
    for party in ["harbour", "north", "south"] {
        play.serve_keys(party);
    }
    play.serve_host();
    for delay in (0..240).step_by(24) {
        let mut push = spawn(play.push_command());
        std::thread::sleep(Duration::from_millis(delay));
        let _ = push.kill();
        let _ = push.wait();
    }
    let done = play.push();
    assert_eq!(done.code, 0, "{done}");
    nothing_is_half_written(&play);
    let done = play.run("first");
    assert_eq!(done.code, 0, "{done}");
    let id = done.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(play.opened("first/receipt.json"), play.opened("results/receipt.json"));

    for delay in (0..120).step_by(10) {
        let out = format!("fetched-{delay}");
        let mut fetch = spawn(play.at_host(&["run", "fetch", &id, "--out", &out]));
        std::thread::sleep(Duration::from_millis(delay));
        let _ = fetch.kill();
        let _ = fetch.wait();
        if !play.path(&out).exists() {
            continue;
        }
        // What has its name is whole.
        for entry in fs::read_dir(play.path(&out)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with(".tmp") {
                assert!(
                    play.read(&format!("{out}/{name}")) == play.read(&format!("first/{name}")),
                    "{out}/{name}"
                );
            }
        }
        // Fetching goes on, elsewhere or there.
        let again = finish(play.at_host(&["run", "fetch", &id, "--out", &format!("{out}-again")]), BOUND);
        assert_eq!(again.code, 0, "{again}");
    }
}

#[test]
fn sealing_and_signing_are_killed_and_repeated() {
    let mut play = Play::copy();
    for party in ["harbour", "north", "south"] {
        play.serve_keys(party);
    }
    let seal = |out: &str| {
        play.owner_command(
            "north",
            &[
                "data",
                "seal",
                "bids-north.csv",
                "--agreement",
                "agreement.toml",
                "--dataset",
                "bids-north",
                "--home",
                "north/home",
                "--out",
                out,
            ],
        )
    };
    for delay in (0..200).step_by(20) {
        let out = format!("sealed-{delay}");
        let mut child = spawn(seal(&out));
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        let _ = child.wait();
        // A manifest that is there is signed or not, but whole, and its file is the one.
        let manifest = format!("{out}/bids-north.manifest.toml");
        if play.path(&format!("{manifest}.north.sig")).exists() && play.path(&manifest).exists() {
            let seen =
                play.entente(&["data", "inspect", &manifest, "--agreement", "agreement.toml", "--json"]);
            assert_eq!(seen.code, 0, "{seen}");
            assert_eq!(seen.json()["file"], "same");
        }
        let again = finish(seal(&format!("{out}-again")), BOUND);
        assert_eq!(again.code, 0, "{again}");
    }
    for delay in (0..200).step_by(20) {
        fs::remove_file(play.path("inputs.toml.north.sig")).unwrap();
        let mut child = spawn(play.owner_command(
            "north",
            &[
                "inputs",
                "sign",
                "inputs.toml",
                "--agreement",
                "agreement.toml",
                "--sealed",
                "sealed",
                "--home",
                "north/home",
                "--owner-principal",
                "arn:aws:iam::222222222222:root",
                "--host-principal",
                "arn:aws:iam::222222222222:role/entente-host",
            ],
        ));
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        let _ = child.wait();
        let again = play.sign_inputs("north", "inputs.toml", "sealed");
        assert_eq!(again.code, 0, "{again}");
    }
    play.serve_host();
    all_is_well(&play, "after");
}
