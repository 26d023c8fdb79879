//! The program as a whole: an image is measured and started, and its program is talked to.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use entente_attestation::{SignedDocument, TrustAnchor};
use entente_hypervisor_sim::{
    CaIdentity, CertificateAuthority, Clock, Isolation, Machine, Module, NsmDevice, ParentInstance,
    Registers, StartError, VsockError,
};
use entente_image::{Application, Eif, EifBuilder, EnclaveImage, Metadata, Mode, RamdiskBuilder};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_entente-hypervisor-sim");
const PROBE: &str = env!("CARGO_BIN_EXE_entente-hypervisor-sim-probe");

fn probe_image() -> EnclaveImage {
    let program = fs::read(PROBE).unwrap();
    EnclaveImage::application(&Application::new("probe", "0", &program)).unwrap()
}

/// A directory with an authority and an image.
struct Site {
    dir: tempfile::TempDir,
    image: EnclaveImage,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = probe_image();
        fs::write(dir.path().join("probe.eif"), image.bytes()).unwrap();
        let made = Command::new(LAUNCHER).arg("ca").arg("--dir").arg(dir.path().join("ca")).output().unwrap();
        assert!(made.status.success());
        let der = fs::read(dir.path().join("ca/root.der")).unwrap();
        let fingerprint = TrustAnchor::simulated(&der).unwrap().fingerprint();
        assert_eq!(String::from_utf8(made.stdout).unwrap().trim_end(), hex::encode(fingerprint));
        Self { dir, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn root(&self) -> TrustAnchor {
        TrustAnchor::simulated(&fs::read(self.path("ca/root.der")).unwrap()).unwrap()
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(LAUNCHER);
        command.arg("run").arg("--image").arg(self.path("probe.eif")).arg("--ca").arg(self.path("ca"));
        command.arg("--vsock").arg(self.path("run/vsock")).args(["--memory-mib", "128"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, more: &[&str]) -> Run {
        let mut child = self.command(more).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("{error}");
        }
        Run { child, lines, first: serde_json::from_str(&line).unwrap() }
    }

    fn dial(&self) -> Peer {
        let mut peer = Peer(BufReader::new(UnixStream::connect(self.path("run/vsock")).unwrap()));
        assert_eq!(peer.ask("CONNECT 5005"), "OK 5005");
        peer
    }
}

struct Run {
    child: Child,
    lines: BufReader<ChildStdout>,
    first: serde_json::Value,
}

impl Run {
    /// Waits for the end: exit code, last line, what was on standard error.
    fn end(mut self) -> (i32, serde_json::Value, String) {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let mut error = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (self.child.wait().unwrap().code().unwrap(), serde_json::from_str(&line).unwrap(), error)
    }
}

struct Peer(BufReader<UnixStream>);

impl Peer {
    fn ask(&mut self, question: &str) -> String {
        self.tell(question);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

fn gone_soon(path: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    while path.exists() {
        assert!(Instant::now() < until, "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_runs_attests_and_ends() {
    let site = Site::new();
    for more in [&["--cid", "77"][..], &["--cid", "77", "--no-isolation"]] {
        let run = site.run(more);
        assert_eq!(run.first["state"], "running");
        assert_eq!(run.first["cid"], 77);
        assert_eq!(run.first["platform"], "local");
        assert_eq!(run.first["simulated"], true);
        let measured = site.image.measurements();
        assert_eq!(run.first["measurements"]["pcr0"], measured.pcr0().to_string());
        assert_eq!(run.first["measurements"]["pcr2"], measured.pcr2().to_string());
        let mode = |name: &str| fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("run"), 0o700);
        assert_eq!(mode("run/vsock"), 0o600);

        let mut peer = site.dial();
        assert_eq!(
            peer.ask("where"),
            r#"arguments=["/app"] variables=0 descriptors=0,1,2,3,4 first=false core=1"#
        );
        assert_eq!(peer.ask("describe"), run.first["module_id"].as_str().unwrap());
        let extended = entente_attestation::extend(&entente_attestation::Digest384::ZERO, b"agreement");
        assert_eq!(peer.ask("extend agreement"), extended.to_string());
        assert_eq!(peer.ask("lock"), "locked");

        // Another connection, another thread: the module is the same.
        drop(peer);
        let mut peer = site.dial();
        let document = hex::decode(peer.ask("attest fresh")).unwrap();
        let authentic = SignedDocument::parse(&document)
            .unwrap()
            .authenticate(&site.root(), Clock::System.now())
            .unwrap();
        assert_eq!(authentic.nonce(), Some(&b"fresh"[..]));
        assert_eq!(authentic.measurements().unwrap().pcr1(), measured.pcr1());
        let sixteen = entente_attestation::PcrIndex::AGREEMENT;
        assert_eq!(authentic.pcr(sixteen), Some(&extended));

        peer.tell("exit 7");
        let (code, last, error) = run.end();
        assert_eq!(code, 7);
        assert_eq!(last, serde_json::json!({"state": "exited", "code": 7}));
        assert!(error.starts_with("SIMULATED"), "{error}");
        assert_eq!(error.contains("no isolation: an ordinary process"), more.contains(&"--no-isolation"));
        assert!(!site.path("run/vsock").exists());
        assert!(!site.path("run/vsock.d").exists());
    }
}

#[test]
fn parent_role_and_instance_are_measured() {
    let site = Site::new();
    let role = "arn:aws:iam::123456789012:role/entente";
    let run = site.run(&["--parent-role", role, "--instance-id", "i-0123456789abcdef0"]);
    assert_eq!(run.first["measurements"]["pcr3"], entente_image::pcr3_of_role(role).to_string());
    let four = entente_image::pcr4_of_instance("i-0123456789abcdef0").to_string();
    assert_eq!(run.first["measurements"]["pcr4"], four);
    assert!(run.first["module_id"].as_str().unwrap().starts_with("i-0123456789abcdef0-enc"));
    site.dial().tell("abort");
    let (code, last, _) = run.end();
    assert_eq!(code, 128 + 6);
    assert_eq!(last["code"], 128 + 6);
}

#[test]
fn peers_that_do_not_keep_to_the_convention_are_closed() {
    let site = Site::new();
    let run = site.run(&[]);
    for line in [
        "CONNECT 5006\n",
        "CONNECT 99999999999\n",
        "CONNECT -1\n",
        "CONNECT  5005\n",
        "CONNECT +5005\n",
        "connect 5005\n",
        "CONNECT 5005\r\n",
        "CONNECT \n",
        "\n",
        "CONNECT 000000000000000000000000000000000000000000000000005005\n",
    ] {
        let mut stream = UnixStream::connect(site.path("run/vsock")).unwrap();
        let _ = stream.write_all(line.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{line:?}");
    }
    // Bytes right behind the line belong to the stream.
    let mut stream = UnixStream::connect(site.path("run/vsock")).unwrap();
    stream.write_all(b"CONNECT 5005\ndescribe\n").unwrap();
    let mut lines = BufReader::new(stream);
    let mut answer = String::new();
    lines.read_line(&mut answer).unwrap();
    lines.read_line(&mut answer).unwrap();
    assert_eq!(answer, format!("OK 5005\n{}\n", run.first["module_id"].as_str().unwrap()));
    drop(lines);
    site.dial().tell("exit 0");
    assert_eq!(run.end().0, 0);
}

#[test]
fn streams_are_carried_whole_and_many() {
    let site = Site::new();
    let run = site.run(&[]);
    let sent: Vec<u8> = (0..4_000_037_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let mut peer = site.dial();
    peer.tell("echo");
    let mut writing = peer.0.get_ref().try_clone().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        writing.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    peer.0.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent);

    // Peers that say nothing do not keep others out; those above the limit are closed.
    let mut silent: Vec<UnixStream> =
        (0..300).map(|_| UnixStream::connect(site.path("run/vsock")).unwrap()).collect();
    let mut last = silent.pop().unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 0);
    silent.truncate(100);
    let until = Instant::now() + Duration::from_secs(10);
    let mut peer = loop {
        let mut peer = Peer(BufReader::new(UnixStream::connect(site.path("run/vsock")).unwrap()));
        let _ = peer.0.get_mut().write_all(b"CONNECT 5005\n");
        let mut line = String::new();
        let _ = peer.0.read_line(&mut line);
        if line == "OK 5005\n" {
            break peer;
        }
        assert!(Instant::now() < until);
    };
    peer.tell("exit 0");
    assert_eq!(run.end().0, 0);
}

#[test]
fn the_enclave_ends_with_standard_input_where_asked() {
    let site = Site::new();
    let mut child = site.command(&["--stop-with-stdin"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("running"));
    drop(child.stdin.take());
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), r#"{"code":137,"state":"exited"}"#);
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

#[test]
fn sigterm_stops_the_enclave_and_leaves_nothing() {
    let site = Site::new();
    let run = site.run(&[]);
    drop(site.dial());
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (code, last, _) = run.end();
    assert_eq!(code, 128 + 9);
    assert_eq!(last["state"], "exited");
    assert!(!site.path("run/vsock.d").exists());
}

#[test]
fn a_killed_hypervisor_takes_the_enclave_with_it_and_can_be_started_again() {
    let site = Site::new();
    for more in [&[][..], &["--no-isolation"]] {
        let mut run = site.run(more);
        let mut peer = site.dial();
        assert!(!peer.ask("describe").is_empty());
        run.child.kill().unwrap();
        run.child.wait().unwrap();
        // The stale socket and directory are there; the next start replaces them.
        assert!(site.path("run/vsock").exists() && site.path("run/vsock.d").exists());
        let socket = site.path("run/vsock.d/s");
        let until = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&socket).is_ok() {
            assert!(Instant::now() < until, "the enclave still listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        let run = site.run(more);
        site.dial().tell("exit 3");
        assert_eq!(run.end().0, 3);
    }
}

#[test]
fn a_path_in_use_is_not_taken_over() {
    let site = Site::new();
    let run = site.run(&[]);
    let second = site.command(&[]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another process listens there"));
    site.dial().tell("exit 0");
    assert_eq!(run.end().0, 0);

    fs::write(site.path("run/vsock"), "precious").unwrap();
    let second = site.command(&[]).output().unwrap();
    assert!(String::from_utf8(second.stderr).unwrap().contains("exists and is not a socket"));
    fs::remove_file(site.path("run/vsock")).unwrap();
    fs::create_dir(site.path("run/vsock.d")).unwrap();
    fs::write(site.path("run/vsock.d/precious"), "").unwrap();
    let second = site.command(&[]).output().unwrap();
    assert!(String::from_utf8(second.stderr).unwrap().contains("was not made by this program"));
    assert!(site.path("run/vsock.d/precious").exists());
}

#[test]
fn what_cannot_run_is_refused() {
    let site = Site::new();
    let mut damaged = site.image.bytes().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(site.path("probe.eif"), damaged).unwrap();
    let output = site.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("checksum"));
    assert!(!site.path("run").exists());
}

fn device(registers: Registers) -> (CertificateAuthority, Box<dyn Module>) {
    let authority = CertificateAuthority::generate(Clock::System.now()).unwrap();
    let identity = CaIdentity::new(&authority, "local-1");
    let device = NsmDevice::new("i-0-enc0", registers, Box::new(identity), Clock::System);
    (authority, Box::new(device))
}

#[test]
fn start_errors() {
    let dir = tempfile::tempdir().unwrap();
    let vsock = dir.path().join("vsock");
    let start = |file: &[u8], memory_mib| {
        let image = Eif::parse(file).unwrap();
        let (_, module) = device(Registers::debug_mode());
        let error =
            Machine::new(&image, module, Path::new(LAUNCHER), &vsock, memory_mib).start().err().unwrap();
        assert!(!vsock.exists() && !dir.path().join("vsock.d").exists(), "{error}");
        error
    };
    let image = |ramdisk: &[u8]| {
        let builder = EifBuilder::new(b"kernel", "", &Metadata::new("n", "v"));
        builder.ramdisk(b"boot").ramdisk(ramdisk).build().unwrap()
    };
    let ours = probe_image();
    assert!(matches!(start(ours.bytes(), 63), StartError::Memory { found: 63 }));
    let empty = RamdiskBuilder::new().build().unwrap();
    assert!(matches!(start(&image(&empty), 64), StartError::NoProgram));
    let no_program = RamdiskBuilder::new().file("app", Mode::READ, b"text").unwrap().build().unwrap();
    assert!(matches!(start(&image(&no_program), 64), StartError::NoProgram));
    assert!(matches!(start(&image(b"\x1f\x8b"), 64), StartError::Unpack(_)));

    fs::create_dir(&vsock).unwrap();
    let parsed = Eif::parse(ours.bytes()).unwrap();
    let (_, module) = device(Registers::debug_mode());
    let error = Machine::new(&parsed, module, Path::new(LAUNCHER), &vsock, 64).start().err().unwrap();
    assert!(matches!(error, StartError::Vsock(VsockError::NotASocket { .. })));
}

/// What tests elsewhere do: a real program, but a module that lies.
#[test]
fn a_hostile_module_can_be_given() {
    struct Truncating(Box<dyn Module>);
    impl Module for Truncating {
        fn answer(&mut self, request: &[u8]) -> Vec<u8> {
            let mut answer = self.0.answer(request);
            answer.pop();
            answer
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let vsock = dir.path().join("vsock");
    let file = probe_image();
    let image = Eif::parse(file.bytes()).unwrap();
    let (_, module) = device(Registers::at_boot(&image.measure(), &ParentInstance::new("i-0")));
    let machine = Machine::new(&image, Box::new(Truncating(module)), Path::new(LAUNCHER), &vsock, 128);
    let running = machine.isolation(Isolation::None).start().unwrap();
    assert_eq!(running.isolation(), Isolation::None);
    let mut peer = Peer(BufReader::new(UnixStream::connect(&vsock).unwrap()));
    assert_eq!(peer.ask("CONNECT 5005"), "OK 5005");
    peer.tell("describe");
    // It panics, and ends with Rust's code for that.
    assert_eq!(running.wait().unwrap(), 101);

    let (_, module) = device(Registers::debug_mode());
    let running = Machine::new(&image, module, Path::new(LAUNCHER), &vsock, 128).start().unwrap();
    let stopper = running.stopper();
    stopper.stop();
    assert_eq!(running.wait().unwrap(), 128 + 9);
    gone_soon(&vsock);
}

/// At whatever moment an enclave is stopped, no process of it stays.
#[test]
fn stopped_at_any_moment_nothing_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = probe_image();
    let image = Eif::parse(file.bytes()).unwrap();
    for delay in 0..24 {
        let (_, module) = device(Registers::debug_mode());
        let vsock = dir.path().join("vsock");
        let running = Machine::new(&image, module, Path::new(LAUNCHER), &vsock, 128).start().unwrap();
        std::thread::sleep(Duration::from_micros(delay * 700));
        running.stopper().stop();
        assert_eq!(running.wait().unwrap(), 128 + 9);
    }
    let until = Instant::now() + Duration::from_secs(10);
    while processes_of(dir.path()) > 0 {
        assert!(Instant::now() < until, "a process of a stopped enclave stays");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have this directory in their command line or as their root or program.
fn processes_of(dir: &Path) -> usize {
    let dir = dir.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter(|entry| {
            let process = entry.as_ref().unwrap().path();
            let words = fs::read(process.join("cmdline")).unwrap_or_default();
            let program = fs::read_link(process.join("exe")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(dir) || program.to_string_lossy().contains(dir)
        })
        .count()
}

/// A program without a dynamic linker gets a root directory of its own.
#[test]
fn a_static_program_has_its_own_root() {
    const SOURCE: &str = r#"
        fn main() {
            let mut files: Vec<String> = std::fs::read_dir("/").unwrap()
                .map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
            files.sort();
            let right = files == ["app", "dev", "proc", "sys", "tmp"]
                && std::process::id() != 1
                && std::fs::read_dir("/proc/self/fd").unwrap().count() == 6
                && std::env::vars_os().count() == 0
                && !std::fs::read("/proc/1/environ").is_ok_and(|e| e.iter().filter(|&&b| b == 0).count() > 1)
                && std::fs::read_to_string("/proc/self/status").unwrap().contains("CapEff:\t0000000000000000\n")
                && std::fs::read_to_string("/proc/net/dev").unwrap().lines().count() == 3
                && std::net::TcpStream::connect(("127.0.0.1", 1)).is_err();
            std::process::exit(if right { 42 } else { 43 });
        }
    "#;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("app.rs");
    fs::write(&source, SOURCE).unwrap();
    let program = dir.path().join("app");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "--target", "x86_64-unknown-linux-musl", "-o"])
        .arg(&program)
        .arg(&source)
        .output()
        .unwrap();
    if !built.status.success() {
        assert!(std::env::var_os("CI").is_none(), "{}", String::from_utf8_lossy(&built.stderr));
        println!("skipped: there is no musl target");
        return;
    }
    let program = fs::read(program).unwrap();
    let file = EnclaveImage::application(&Application::new("static", "0", &program)).unwrap();
    let image = Eif::parse(file.bytes()).unwrap();
    let (_, module) = device(Registers::at_boot(&image.measure(), &ParentInstance::new("i-0")));
    let machine = Machine::new(&image, module, Path::new(LAUNCHER), &dir.path().join("vsock"), 64);
    let running = machine.start().unwrap();
    if running.isolation() != Isolation::OwnRoot {
        println!("skipped: no user namespaces here");
        return;
    }
    assert_eq!(running.wait().unwrap(), 42);
}
