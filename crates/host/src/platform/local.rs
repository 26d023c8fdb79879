//! The `local` platform: each enclave is a process under `entente-hypervisor-sim`, attested under a root made on this
//! machine. No isolation: for development and tests. Everything that verifies its documents says `SIMULATED`.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Enclave, EnclaveEnd, Launch, Platform, PlatformError, ProcessIdentity, Remains, VsockAddress};
use crate::config::{Config, LocalPlatform};

/// Name of the program, beside the running one.
const PROGRAM: &str = "entente-hypervisor-sim";
/// The least memory that it gives an enclave, MiB, as on Nitro.
const LEAST_MEMORY_MIB: u32 = 64;
/// Bytes of its standard error that are read; more is thrown away.
const STDERR_BYTES: u64 = 64 * 1024;
/// Time to end in good order, before it is killed.
const TERM_TIME: Duration = Duration::from_secs(2);
/// Time for a killed process to be gone.
const KILL_TIME: Duration = Duration::from_secs(5);
/// Wait between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Why there is no local platform.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The simulated hypervisor is not where it should be.
    #[error("the program {path} is not there; build it, or set [local] program in the host's configuration")]
    Program {
        /// Where it should be.
        path: PathBuf,
    },
    /// The running program does not know where it is.
    #[error(
        "the directory of the running program is unknown ({error}); set [local] program in the configuration"
    )]
    Beside {
        /// Why.
        error: io::Error,
    },
    /// The configured root is not there.
    #[error("{path} holds no simulated root; make one with `entente-hypervisor-sim ca --dir {path}`")]
    NoRoot {
        /// The directory.
        path: PathBuf,
    },
    /// No root could be made.
    #[error("no simulated root could be made in {path}: {problem}")]
    MakeRoot {
        /// The directory.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// Starts enclaves as child programs `entente-hypervisor-sim run …`.
#[derive(Debug)]
pub struct Local {
    program: PathBuf,
    ca: PathBuf,
    settings: LocalPlatform,
}

impl Local {
    /// Finds the program and the simulated root. A root is made, in `ca` of the data directory, if none is configured and
    /// none is there.
    ///
    /// # Errors
    /// A [`LocalError`].
    pub fn new(config: &Config) -> Result<Self, LocalError> {
        let settings = config.local().clone();
        let program = match &settings.program {
            Some(program) => program.clone(),
            None => beside()?,
        };
        if !program.is_file() {
            return Err(LocalError::Program { path: program });
        }
        let ca = settings.ca.clone().unwrap_or_else(|| config.data().join("ca"));
        if !ca.join("root.pem").is_file() {
            if settings.ca.is_some() {
                return Err(LocalError::NoRoot { path: ca });
            }
            make_root(&program, &ca).map_err(|problem| LocalError::MakeRoot { path: ca.clone(), problem })?;
        }
        Ok(Self { program, ca, settings })
    }

    /// Certificate of the simulated root, PEM: what an agreement names as `simulated:…`, and what verifiers are given.
    #[must_use]
    pub fn root_certificate(&self) -> PathBuf {
        self.ca.join("root.pem")
    }
}

fn beside() -> Result<PathBuf, LocalError> {
    let running = std::env::current_exe().map_err(|error| LocalError::Beside { error })?;
    let directory = running.parent().unwrap_or(Path::new("."));
    let path = directory.join(PROGRAM);
    // Test programs lie one directory deeper.
    match directory.parent().map(|above| above.join(PROGRAM)) {
        Some(above) if !path.is_file() && directory.ends_with("deps") => Ok(above),
        _ => Ok(path),
    }
}

fn make_root(program: &Path, ca: &Path) -> Result<(), String> {
    if let Some(data) = ca.parent() {
        crate::store::files::make_directory(data).map_err(|error| error.to_string())?;
    }
    let output = Command::new(program)
        .args(["ca", "--dir"])
        .arg(ca)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).chars().take(500).collect())
    }
}

impl Platform for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn start(&self, launch: &Launch) -> Result<Box<dyn Enclave>, PlatformError> {
        let socket = launch.work().join("vsock");
        // Unix(7): a socket's path has at most 107 bytes; the enclave's own has four more.
        if socket.as_os_str().len() > 100 {
            return Err(PlatformError::new(
                "the directory for temporary files has too long a path for a socket",
            ));
        }
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--image"])
            .arg(launch.image())
            .arg("--ca")
            .arg(&self.ca)
            .arg("--vsock")
            .arg(&socket)
            .arg("--memory-mib")
            .arg(launch.memory_mib().max(LEAST_MEMORY_MIB).to_string())
            // It ends when this process does, however that happens: its standard input is a pipe that nobody else holds.
            .arg("--stop-with-stdin");
        if let Some(role) = &self.settings.parent_role {
            command.arg("--parent-role").arg(role);
        }
        if let Some(instance) = &self.settings.instance_id {
            command.arg("--instance-id").arg(instance);
        }
        let mut child = command
            // The host's credentials are not the enclave's.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A group of its own: an interrupt at the terminal reaches the host only, and the group can be ended whole.
            .process_group(0)
            .spawn()
            .map_err(|error| PlatformError::new(format!("{}: {error}", self.program.display())))?;
        if let Some(stderr) = child.stderr.take() {
            // Without the thread the pipe closes, which the program does not mind.
            let _ = std::thread::Builder::new().name("enclave-log".to_owned()).spawn(move || log(stderr));
        }
        let lifeline = child.stdin.take();
        let identity = i32::try_from(child.id()).ok().and_then(ProcessIdentity::of);
        Ok(Box::new(LocalEnclave { child: Mutex::new(child), identity, socket, _lifeline: lifeline }))
    }

    fn clean_up(&self, remains: &Remains) {
        let mut groups: Vec<i32> = remains
            .process()
            .filter(|process| process.is_current())
            .map(ProcessIdentity::pid)
            .into_iter()
            .collect();
        // The host may have ended after it started the program and before it noted its number. The directory's name is
        // random, so whatever has it among its arguments was started for this enclave.
        groups.extend(processes_with_argument_under(remains.work()));
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            signal(group, Signal::KILL);
            let deadline = Instant::now() + KILL_TIME;
            while Path::new(&format!("/proc/{group}")).exists()
                && !is_zombie(group)
                && Instant::now() < deadline
            {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// A line of the simulated hypervisor says how isolated an enclave is, or why it did not start. It is the hypervisor's
/// own; the enclave's output is discarded by it.
fn log(stderr: ChildStderr) {
    let mut reader = BufReader::new(stderr);
    for line in reader.by_ref().take(STDERR_BYTES).lines() {
        let Ok(line) = line else { return };
        let line: String = line.chars().filter(|character| !character.is_control()).take(500).collect();
        tracing::info!(target: "entente_host::platform", "{line}");
    }
    let _ = io::copy(&mut reader, &mut io::sink());
}

fn signal(group: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(group) {
        // Gone already is what is wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// Processes of this machine whose command line names something in `directory`. They lead a group each.
fn processes_with_argument_under(directory: &Path) -> Vec<i32> {
    let Some(directory) = directory.to_str().filter(|directory| directory.len() > 1) else {
        return Vec::new();
    };
    let wanted = format!("{directory}/");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0).any(|argument| argument.starts_with(wanted.as_bytes()))
            })
        })
        .filter_map(process_group_of)
        .collect()
}

fn process_group_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    // proc(5): state, parent, group.
    let group: i32 = rest.split_ascii_whitespace().nth(2)?.parse().ok()?;
    // Never the host's own group, should somebody have started the program by hand from the same shell.
    (group != rustix::process::getpgrp().as_raw_nonzero().get()).then_some(group)
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().starts_with('Z')))
        .unwrap_or(true)
}

struct LocalEnclave {
    child: Mutex<Child>,
    identity: Option<ProcessIdentity>,
    socket: PathBuf,
    /// Taken out of `child`, whose `wait` would close it. Closed by the kernel when the host is killed.
    _lifeline: Option<ChildStdin>,
}

impl LocalEnclave {
    fn look(&self) -> Option<EnclaveEnd> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(match (status.code(), status.signal()) {
                (Some(code), _) => EnclaveEnd::Code(code),
                _ => EnclaveEnd::Killed,
            }),
            Err(_) => Some(EnclaveEnd::Killed),
        }
    }

    fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.look().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }
}

impl Enclave for LocalEnclave {
    fn address(&self) -> VsockAddress {
        VsockAddress::Hybrid { path: self.socket.clone() }
    }

    fn process(&self) -> Option<ProcessIdentity> {
        self.identity.clone()
    }

    fn ended(&self) -> Option<EnclaveEnd> {
        self.look()
    }

    fn kill(&self) {
        if self.look().is_some() {
            return;
        }
        // Not reaped yet, so the number is still this process's.
        let group = self.identity.as_ref().map(ProcessIdentity::pid);
        if let Some(group) = group {
            signal(group, Signal::TERM);
        }
        if self.wait(TERM_TIME) {
            return;
        }
        match group {
            Some(group) => signal(group, Signal::KILL),
            None => {
                let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
        }
        self.wait(KILL_TIME);
    }
}

impl Drop for LocalEnclave {
    fn drop(&mut self) {
        self.kill();
    }
}
