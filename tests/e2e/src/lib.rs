//! The whole system as processes: a demo is played once, and every test has a copy of what it left to attack.
//!
//! What is trusted here: this machine, its programs `ssh-keygen`, `age`, `openssl`, `tar`, and nothing of ours: the programs
//! are started as a user starts them, and judged by exit codes, files and what stock tools say. Every wait is bounded, and a
//! process that a test started ends with the test, by its number.
//!
//! ```no_run
//! let play = entente_e2e::Play::start();
//! let run = play.run("again");
//! assert_eq!(run.code, 0, "{run}");
//! assert!(play.path("again/receipt.json").exists());
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a harness of tests: whatever goes wrong here ends the test, and that is said once, here"
)]

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The parties of the demo, with the accounts of their key services.
pub const PARTIES: [(&str, &str); 3] =
    [("harbour", "111111111111"), ("north", "222222222222"), ("south", "333333333333")];

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(90);
/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(30);
/// How long the demo may take, builds included.
const DEMO: Duration = Duration::from_secs(1_500);
/// A demo's agreement lives a week; an older one is not used.
const FRESH: Duration = Duration::from_secs(24 * 3_600);

/// The checkout.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A directory of the vectors of others, or nothing where they are not at hand; in CI they must be.
#[must_use]
pub fn vectors(name: &str) -> Option<PathBuf> {
    let path = workspace().join("../shared/vectors").join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    println!("skipped: {} is missing", path.display());
    None
}

/// Whether a stock tool is installed; in CI it must be.
#[must_use]
pub fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(tool).is_file()));
    assert!(found || std::env::var_os("CI").is_none(), "{tool} is not installed");
    if !found {
        println!("skipped: {tool} is not installed");
    }
    found
}

/// Where this test's own programs were built: `target/debug`, for instance.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == "deps"))
        .map_or_else(|| test.parent().unwrap().to_owned(), |deps| deps.parent().unwrap().to_owned())
}

/// Cargo's target directory, wherever this test was built.
#[must_use]
pub fn target() -> PathBuf {
    built().parent().unwrap().to_owned()
}

/// A program of ours, built.
///
/// The programs are built with Cargo, for a test of this package alone does not build them; once in a run of the tests.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let directory = built();
    BUILT.get_or_init(|| {
        let scratch = scratch();
        let lock = File::create(scratch.join("build.lock")).unwrap();
        lock.lock().unwrap();
        // nextest has a process for each test, and a number for the run.
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
        let stamp = scratch.join("built");
        if !run.is_empty() && fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == run) {
            return;
        }
        let profile = match directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        }
        .to_owned();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--locked", "--profile", &profile]);
        build.args(["--package", "entente", "--package", "entente-hypervisor-sim"]).current_dir(workspace());
        build.env("CARGO_TARGET_DIR", target());
        let done = finish(build, DEMO);
        assert_eq!(done.code, 0, "{done}");
        fs::write(stamp, run).unwrap();
    });
    let path = directory.join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

fn scratch() -> PathBuf {
    let path = target().join("tmp/e2e");
    fs::create_dir_all(&path).unwrap();
    path
}

/// The directory that a demo left, for reading only. It is played once for each build of the programs.
#[must_use]
pub fn demo_directory() -> &'static Path {
    static DEMO_DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DEMO_DIRECTORY.get_or_init(|| {
        let (entente, hypervisor) = (program("entente"), program("entente-hypervisor-sim"));
        let scratch = scratch();
        let lock = File::create(scratch.join("demo.lock")).unwrap();
        lock.lock().unwrap();
        let key: Vec<String> = [&entente, &hypervisor]
            .map(|path| {
                let facts = fs::metadata(path).unwrap();
                let time = facts.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
                format!("{:x}-{:x}", facts.len(), time.as_nanos())
            })
            .into();
        let directory = scratch.join(format!("demo-{}", key.join("-")));
        let whole = directory.join("played");
        let fresh = fs::metadata(&whole)
            .and_then(|facts| facts.modified())
            .is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < FRESH));
        if !fresh {
            let _ = fs::remove_dir_all(&directory);
            let mut play = Command::new(&entente);
            play.args(["demo", "auction", "--dir"]).arg(&directory).current_dir(workspace());
            play.env("CARGO_TARGET_DIR", target());
            let done = finish(play, DEMO);
            assert_eq!(done.code, 0, "{done}");
            fs::write(&whole, &done.stdout).unwrap();
        }
        directory
    })
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// Exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
}

impl Done {
    /// The object that it printed.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

/// Run a command to its end, within a bound.
#[must_use]
pub fn finish(mut command: Command, bound: Duration) -> Done {
    use std::os::unix::process::ExitStatusExt as _;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (stdout, stderr) =
        (read(Box::new(child.stdout.take().unwrap())), read(Box::new(child.stderr.take().unwrap())));
    let until = Instant::now() + bound;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end in {bound:?}\n{}", stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
    Done { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Run a stock tool in a directory.
#[must_use]
pub fn stock(directory: &Path, tool: &str, arguments: &[&str]) -> Done {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(directory);
    finish(command, COMMAND)
}

/// Run `entente` in a directory.
#[must_use]
pub fn entente(directory: &Path, arguments: &[&str]) -> Done {
    let mut command = Command::new(program("entente"));
    command.args(arguments).current_dir(directory);
    finish(command, COMMAND)
}

/// Wait until something is so.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + START;
    while !is() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All files below a directory.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The children of a process, and theirs, with the names of their programs.
#[must_use]
pub fn descendants(of: u32) -> Vec<(u32, String)> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        let (Some((_, rest)), Some((head, _))) = (stat.rsplit_once(") "), stat.rsplit_once(") ")) else {
            continue;
        };
        let name = head.split_once('(').map(|(_, name)| name.to_owned()).unwrap_or_default();
        let parent = rest.split(' ').nth(1).and_then(|text| text.parse::<u32>().ok());
        if let Some(parent) = parent {
            processes.push((id, parent, name));
        }
    }
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (id, _, name) in processes.iter().filter(|process| process.1 == parent) {
            parents.push(*id);
            found.push((*id, name.clone()));
        }
    }
    found
}

/// Send a signal to one process; that it is gone already is no error.
pub fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A program that serves, ended with its owner.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Server {
    /// Start `entente ARGUMENTS` in a directory and wait until it says where it listens.
    #[must_use]
    pub fn start(directory: &Path, arguments: &[&str], log: &str) -> Self {
        let log_file = File::options().create(true).append(true).open(directory.join(log)).unwrap();
        let mut child = Command::new(program("entente"))
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut server = Self { child, url: String::new() };
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut first = String::new();
            let _ = lines.read_line(&mut first);
            let _ = send.send(first);
            let _ = lines.read_to_end(&mut Vec::new());
        });
        let line = receive.recv_timeout(START).unwrap_or_default();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = fs::read_to_string(directory.join(log)).unwrap_or_default();
            panic!("{arguments:?} did not start: {line}{log}")
        });
        said["url"].as_str().unwrap().clone_into(&mut server.url);
        server
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), Signal::TERM);
            let end = Instant::now() + Duration::from_secs(8);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of the demo's directory, with servers of its own.
pub struct Play {
    // Servers end before their directory goes.
    host: Option<Server>,
    keys: Vec<(&'static str, Server)>,
    directory: tempfile::TempDir,
}

impl Play {
    /// A copy, nothing running.
    #[must_use]
    pub fn copy() -> Self {
        let directory = tempfile::Builder::new().prefix("entente-e2e-").tempdir().unwrap();
        let from = demo_directory();
        for file in files_below(from) {
            let to = directory.path().join(file.strip_prefix(from).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, &to).unwrap();
        }
        Self { host: None, keys: Vec::new(), directory }
    }

    /// A copy with key services, and a host that has everything.
    #[must_use]
    pub fn start() -> Self {
        let mut play = Self::copy();
        for (party, _) in PARTIES {
            play.serve_keys(party);
        }
        play.serve_host();
        play
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of it.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Serve a party's keys, at a new address.
    pub fn serve_keys(&mut self, party: &'static str) {
        self.stop_keys(party);
        let keys = format!("{party}/keys");
        let arguments = ["key", "serve", "--dir", &keys, "--listen", "127.0.0.1:0"];
        let server = Server::start(self.directory(), &arguments, &format!("{party}/keys.log"));
        self.keys.push((party, server));
    }

    /// End a party's key service at once.
    pub fn stop_keys(&mut self, party: &str) {
        if let Some(at) = self.keys.iter().position(|(name, _)| *name == party) {
            self.keys.swap_remove(at).1.kill();
        }
    }

    /// The process of a party's key service.
    #[must_use]
    pub fn keys_id(&self, party: &str) -> u32 {
        self.keys.iter().find(|(name, _)| *name == party).unwrap().1.id()
    }

    /// Serve the host, with the addresses of the key services as they are now.
    pub fn serve_host(&mut self) {
        self.stop_host();
        let mut config = format!(
            "[timeouts]\nboot = 20\nask = 20\nkey = 5\n\n[local]\nprogram = {:?}\nca = \"ca\"\n",
            program("entente-hypervisor-sim").display().to_string()
        );
        for (party, _) in PARTIES {
            let block = fs::read_to_string(self.path(&format!("{party}/keys/host.toml"))).unwrap();
            config.push('\n');
            config.push_str(&block.replace("\"host.secret\"", &format!("\"{party}/keys/host.secret\"")));
        }
        fs::write(self.path("host.toml"), config).unwrap();
        let arguments =
            ["host", "serve", "--data", "host", "--config", "host.toml", "--listen", "127.0.0.1:0"];
        self.host = Some(Server::start(self.directory(), &arguments, "host.log"));
    }

    /// `kill -9` of the host, if it runs.
    pub fn stop_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.kill();
        }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Server {
        self.host.as_ref().unwrap()
    }

    /// Run `entente` in the directory.
    #[must_use]
    pub fn entente(&self, arguments: &[&str]) -> Done {
        entente(self.directory(), arguments)
    }

    /// A command line with the host's address and token.
    #[must_use]
    pub fn at_host(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.args(["--host", &self.host().url, "--token", "host/token"]);
        command
    }

    /// A command line in the directory.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("entente"));
        command.args(arguments).current_dir(self.directory());
        command
    }

    /// A command line of an owner, with its key service.
    #[must_use]
    pub fn owner_command(&self, party: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("AWS_CONFIG_FILE", format!("{party}/keys/owner.aws"));
        command
    }

    /// Run `entente` as an owner.
    #[must_use]
    pub fn owner(&self, party: &str, arguments: &[&str]) -> Done {
        finish(self.owner_command(party, arguments), COMMAND)
    }

    /// Sign an input set as an owner.
    #[must_use]
    pub fn sign_inputs(&self, party: &str, inputs: &str, sealed: &str) -> Done {
        let account = PARTIES.iter().find(|known| known.0 == party).unwrap().1;
        let home = format!("{party}/home");
        let (owner, host) =
            (format!("arn:aws:iam::{account}:root"), format!("arn:aws:iam::{account}:role/entente-host"));
        let arguments = ["inputs", "sign", inputs, "--agreement", "agreement.toml", "--sealed", sealed];
        let more = ["--home", &home, "--owner-principal", &owner, "--host-principal", &host];
        self.owner(party, &[&arguments[..], &more[..]].concat())
    }

    /// Hand everything to the host.
    #[must_use]
    pub fn push(&self) -> Done {
        finish(self.push_command(), COMMAND)
    }

    /// The command line that hands everything to the host.
    #[must_use]
    pub fn push_command(&self) -> Command {
        self.at_host(&[
            "host",
            "push",
            "--agreement",
            "agreement.toml",
            "--image",
            "auction.eif",
            "--inputs",
            "inputs.toml",
            "--sealed",
            "sealed",
        ])
    }

    /// Start a run, wait for its end, fetch what it made into a directory.
    #[must_use]
    pub fn run(&self, out: &str) -> Done {
        finish(self.run_command(out), COMMAND)
    }

    /// The command line of [`Play::run`].
    #[must_use]
    pub fn run_command(&self, out: &str) -> Command {
        self.at_host(&[
            "run",
            "start",
            "--agreement",
            "agreement.toml",
            "--inputs",
            "inputs.toml",
            "--wait",
            "--out",
            out,
            "--json",
        ])
    }

    /// The runs that the host knows, newest first.
    #[must_use]
    pub fn runs(&self) -> Vec<Value> {
        let done = finish(self.at_host(&["run", "list", "--json"]), COMMAND);
        assert_eq!(done.code, 0, "{done}");
        done.json()["runs"].as_array().unwrap().clone()
    }

    /// Open a party's result of a run.
    #[must_use]
    pub fn open(&self, party: &str, file: &str, receipt: &str, out: &str) -> Done {
        let home = format!("{party}/home");
        let arguments = ["result", "open", file, "--receipt", receipt, "--agreement", "agreement.toml"];
        let more = ["--root", "ca/root.pem", "--home", &home, "--out", out, "--json"];
        self.entente(&[&arguments[..], &more[..]].concat())
    }

    /// The digests of the archives that a receipt names, in order.
    #[must_use]
    pub fn opened(&self, receipt: &str) -> Vec<String> {
        let done = self.entente(&["receipt", "show", receipt, "--json"]);
        assert_eq!(done.code, 0, "{done}");
        let results = done.json()["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["opened"].as_str().unwrap().to_owned()).collect()
    }
}

/// Numbers that are the same in every run of a test.
pub struct Numbers(u64);

impl Numbers {
    /// From a seed, which must not be zero.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one, below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound.max(1)
    }

    /// One of a few.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.get(self.below(of.len())).unwrap()
    }
}
