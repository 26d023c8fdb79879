//! What the launcher does on the enclave's side of the fork, as programs of their own: the first prepares
//! descriptors and limits and gives way to the enclave (or to `unshare`); the second is process 1 of the
//! enclave's namespaces.
//!
//! Both are steps of [`crate::Machine::start`] and of no use alone.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use entente_image::PROGRAM;
use entente_nsm::inherited_socket;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set, remove_capability_from_bounding_set};

use crate::machine::{Console, Isolation, code, words};

/// First argument of the launcher when it is to prepare a child.
pub const CHILD: &str = "enclave-child";
/// First argument of the launcher when it is to be process 1 of an enclave.
pub const INIT: &str = "enclave-init";
/// First argument of the launcher when it is to show that namespaces work.
pub const PROBE: &str = "enclave-probe";

const NSM: RawFd = 3;
const LISTENER: RawFd = 4;

/// Arguments of the two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub(crate) parent: i32,
    pub(crate) root: PathBuf,
    pub(crate) memory_mib: u32,
    pub(crate) console: Console,
    pub(crate) isolation: Isolation,
}

impl Start {
    pub(crate) fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = self.after(CHILD);
        arguments.push(self.root.clone().into_os_string());
        arguments
    }

    fn after(&self, step: &str) -> Vec<OsString> {
        let isolation = match self.isolation {
            Isolation::OwnRoot => "own-root",
            Isolation::Namespaces => "namespaces",
            Isolation::None => "none",
        };
        let console = match self.console {
            Console::Discarded => "discarded",
            Console::Shown => "shown",
        };
        words([step, &self.parent.to_string(), &self.memory_mib.to_string(), console, isolation])
    }

    /// Reads the arguments behind the step's name. They come from this program alone, so there is one way to say them.
    pub fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        let [parent, memory_mib, console, isolation, root] = arguments else { return None };
        Some(Self {
            parent: parent.to_str()?.parse().ok()?,
            memory_mib: memory_mib.to_str()?.parse().ok()?,
            console: match console.to_str()? {
                "discarded" => Console::Discarded,
                "shown" => Console::Shown,
                _ => return None,
            },
            isolation: match isolation.to_str()? {
                "own-root" => Isolation::OwnRoot,
                "namespaces" => Isolation::Namespaces,
                "none" => Isolation::None,
                _ => return None,
            },
            root: PathBuf::from(root),
        })
    }
}

/// The first step. Expects the NSM as standard input and the listening socket as standard output, in a process with
/// one thread that has opened nothing; returns only if it fails.
pub fn child(start: &Start) -> io::Error {
    match prepare(start) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

fn prepare(start: &Start) -> io::Result<Command> {
    // The enclave ends with the hypervisor, also when that is killed.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Pid::from_raw(start.parent) {
        return Err(io::Error::other("the hypervisor is gone"));
    }
    close_inherited()?;
    let nsm = place(fcntl_dupfd_cloexec(rustix::stdio::stdin(), NSM)?, NSM)?;
    let listener = place(fcntl_dupfd_cloexec(rustix::stdio::stdout(), LISTENER)?, LISTENER)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    match start.console {
        Console::Discarded => {
            dup2_stdout(&null)?;
            if start.isolation == Isolation::None {
                dup2_stderr(&null)?;
            }
        }
        Console::Shown => dup2_stdout(rustix::stdio::stderr())?,
    }
    // Signals of a terminal are for the hypervisor, which then decides.
    rustix::process::setsid()?;
    rustix::process::umask(Mode::from_raw_mode(0o077));

    let command = match start.isolation {
        Isolation::None => {
            limit(start)?;
            program(&start.root.join(PROGRAM), &start.root)
        }
        Isolation::OwnRoot | Isolation::Namespaces => {
            let mut command = unshare(start.isolation, &start.root);
            command.arg(std::env::current_exe()?).args(start.after(INIT)).arg(&start.root);
            // The enclave can read the environment of process 1. `unshare` itself is found by PATH.
            command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            command
        }
    };
    // They are to survive the exec.
    for kept in [nsm, listener] {
        fcntl_setfd(&kept, FdFlags::empty())?;
        std::mem::forget(kept);
    }
    Ok(command)
}

/// The second step: process 1 of the enclave's namespaces. It starts the program as another process (an analysis
/// refuses to be process 1, PROTOCOL §10.1), waits for it and gives its exit code; with it everything else in the
/// namespaces ends.
///
/// # Errors
///
/// Whatever the system says before the program runs.
pub fn init(start: &Start) -> io::Result<u8> {
    end_with_hypervisor()?;
    let (path, dir) = if start.isolation == Isolation::OwnRoot {
        rustix::process::chroot(&start.root)?;
        rustix::process::chdir("/")?;
        (Path::new("/").join(PROGRAM), PathBuf::from("/"))
    } else {
        (start.root.join(PROGRAM), start.root.clone())
    };
    rustix::thread::set_no_new_privs(true)?;
    forgo_capabilities()?;
    limit(start)?;
    let mut command = program(&path, &dir);
    if start.console == Console::Discarded {
        // Standard output is already /dev/null, and there may be no such file here.
        command.stderr(Stdio::from(io::stdout()));
    }
    let status = command.spawn()?.wait()?;
    Ok(code(status))
}

/// Whether namespaces of this kind can be had here.
pub(crate) fn namespaces_work(launcher: &Path, isolation: Isolation, root: &Path) -> bool {
    let mut command = unshare(isolation, root);
    command.arg(launcher).arg(PROBE).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn unshare(isolation: Isolation, root: &Path) -> Command {
    let mut proc = OsString::from("--mount-proc");
    if isolation == Isolation::OwnRoot {
        proc.push("=");
        proc.push(root.join("proc"));
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "--pid", "--net", "--uts", "--ipc"])
        .args(["--fork", "--kill-child=KILL"])
        .arg(proc)
        .arg("--");
    command
}

fn program(path: &Path, dir: &Path) -> Command {
    let mut command = Command::new(path);
    command.arg0(format!("/{PROGRAM}")).env_clear().current_dir(dir);
    command
}

/// Ends this process, and so the enclave, when the hypervisor hangs up the NSM, be it by dying. `unshare --kill-child`
/// alone does not do: a child whose parent dies before it has asked to be told is never told.
fn end_with_hypervisor() -> io::Result<()> {
    // As if killed.
    const KILLED: i32 = 128 + 9;
    let nsm = inherited_socket(NSM).ok_or_else(|| io::Error::other("descriptor 3 is not the NSM"))?;
    thread::Builder::new().spawn(move || {
        let mut hangup = [PollFd::new(&nsm, PollFlags::RDHUP)];
        while poll(&mut hangup, None) == Err(Errno::INTR) {}
        std::process::exit(KILLED);
    })?;
    Ok(())
}

/// Takes all capabilities from what is executed from now on, although it is user 0 of its namespace: with them it could
/// leave its root directory.
fn forgo_capabilities() -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // Beyond the last that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// No core dumps, and the enclave's memory.
fn limit(start: &Start) -> io::Result<()> {
    // 1, not 0: a limit of 0 still lets a core be piped to a program (core(5), `core_pattern`); Linux takes 1 as never.
    let both = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Core, both(1))?;
    // Data and not address space: threads reserve far more addresses than they use.
    rustix::process::setrlimit(Resource::Data, both(u64::from(start.memory_mib) << 20))?;
    Ok(())
}

/// Closes all descriptors but the standard ones. Nothing in this process owns one yet.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open {
        if descriptor > 2 {
            // The one that listed the others is closed by now: not an error.
            let _ = nix::unistd::close(descriptor);
        }
    }
    Ok(())
}

fn place(descriptor: OwnedFd, wanted: RawFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() == wanted {
        Ok(descriptor)
    } else {
        Err(io::Error::other("a descriptor that was to be free is taken"))
    }
}
