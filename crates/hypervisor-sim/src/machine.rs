//! Starting an image's program as a process of this machine.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use entente_image::{Eif, PROGRAM};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::files::{UnpackError, unpack};
use crate::inside;
use crate::nsm::{Module, serve};
use crate::vsock::{VsockError, VsockListener};

/// Smallest memory of an enclave, as on Nitro (WIRE.md, `run-enclave`).
pub(crate) const MEMORY_MIN_MIB: u32 = 64;
/// Written into the directory that an enclave is unpacked into, so that a later start knows it may remove it.
const MARKER: &str = "SIMULATED-enclave";

/// What becomes of the enclave's standard output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// Nothing: as on Nitro without debug mode.
    Discarded,
    /// They go to this process's standard error: for development.
    Shown,
}

/// How the enclave is kept apart from this machine. None of it protects against whoever runs the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Own user, mount, process, network and IPC namespaces, and the unpacked image as its root directory.
    OwnRoot,
    /// The same namespaces, but with this machine's files: for a program that needs its dynamic linker.
    Namespaces,
    /// An ordinary process.
    None,
}

impl Isolation {
    /// As it is said to people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::OwnRoot => "own namespaces and root directory",
            Self::Namespaces => "own namespaces, no isolation from this machine's files",
            Self::None => "no isolation: an ordinary process",
        }
    }
}

/// Why an enclave did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The vsock's socket.
    #[error("vsock: {0}")]
    Vsock(#[from] VsockError),
    /// The application's ramdisks.
    #[error("unpacking the image: {0}")]
    Unpack(#[from] UnpackError),
    /// No application ramdisk holds an executable file `app`.
    #[error("the image has no program /app in its application ramdisks")]
    NoProgram,
    /// Less memory than an enclave can have.
    #[error("{found} MiB of memory; an enclave has at least 64")]
    Memory {
        /// What was asked for.
        found: u32,
    },
    /// The directory for the unpacked image is there and not ours.
    #[error("{}: exists and was not made by this program", path.display())]
    Occupied {
        /// That directory.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// An enclave about to be started.
pub struct Machine<'a> {
    image: &'a Eif<'a>,
    module: Box<dyn Module>,
    launcher: PathBuf,
    vsock: PathBuf,
    memory_mib: u32,
    console: Console,
    strongest: Isolation,
}

impl<'a> Machine<'a> {
    /// An enclave that runs this image, asks this module, and is reached at the Unix socket `vsock`.
    ///
    /// `launcher` is the program `entente-hypervisor-sim`: it starts itself again to set up the child, because that
    /// cannot be done between fork and exec without `unsafe`.
    ///
    /// Whether the module's registers are those of the image is the caller's affair: this is how tests run a
    /// program under measurements that are not its own.
    pub fn new(
        image: &'a Eif<'a>,
        module: Box<dyn Module>,
        launcher: &Path,
        vsock: &Path,
        memory_mib: u32,
    ) -> Self {
        Self {
            image,
            module,
            launcher: launcher.to_owned(),
            vsock: vsock.to_owned(),
            memory_mib,
            console: Console::Discarded,
            strongest: Isolation::OwnRoot,
        }
    }

    /// Sets what becomes of the enclave's output.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// Sets the strongest isolation to try. Where the kernel or the program does not allow it, the next weaker is
    /// taken; [`Running::isolation`] says which.
    #[must_use]
    pub fn isolation(mut self, strongest: Isolation) -> Self {
        self.strongest = strongest;
        self
    }

    /// Unpacks the application's ramdisks (all but the first) beside the vsock's socket and starts `/app` with the NSM
    /// as descriptor 3 and a listening socket as descriptor 4, no arguments, no environment, and nothing else open.
    ///
    /// The enclave is killed when the thread that called this ends, however it ends.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left behind then.
    pub fn start(self) -> Result<Running, StartError> {
        if self.memory_mib < MEMORY_MIN_MIB {
            return Err(StartError::Memory { found: self.memory_mib });
        }
        let vsock = VsockListener::bind(&self.vsock)?;
        let mut dir = self.vsock.clone().into_os_string();
        dir.push(".d");
        let dir = Directory::create(Path::new(&dir))?;
        let root = dir.path.join("root");
        DirBuilder::new().mode(0o755).create(&root).map_err(system("root directory"))?;
        let ramdisks = self.image.ramdisks().enumerate().skip(1);
        unpack(ramdisks, &root, u64::from(self.memory_mib) << 20)?;
        let program = root.join(PROGRAM);
        let linkage = linkage(&program)?;
        if fs::symlink_metadata(root.join("proc")).is_err() {
            DirBuilder::new().mode(0o755).create(root.join("proc")).map_err(system("/proc"))?;
        }

        let socket = dir.path.join("s");
        let listening = UnixListener::bind(&socket).map_err(system("enclave's socket"))?;
        let (module_end, enclave_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| system("NSM socket")(error.into()))?;

        let isolation = self.choose(linkage, &root);
        let start = inside::Start {
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            root: root.clone(),
            memory_mib: self.memory_mib,
            console: self.console,
            isolation,
        };
        let child = Command::new(&self.launcher)
            .args(start.to_arguments())
            .stdin(Stdio::from(enclave_end))
            .stdout(Stdio::from(OwnedFd::from(listening)))
            .spawn()
            .map_err(system("starting the launcher"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let handle = pid
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|error| system("process descriptor")(error.into()))?;
        // From here on `Running` stops the child.
        let module_end = Arc::new(module_end);
        let served = Arc::clone(&module_end);
        let running = Running { child, handle: Arc::new(handle), isolation, module_end, vsock, _dir: dir };
        let mut module = self.module;
        thread::Builder::new()
            .name("nsm".to_owned())
            .spawn(move || serve(&served, module.as_mut()))
            .map_err(system("thread"))?;
        running.vsock.carry_to(&socket)?;
        Ok(running)
    }

    fn choose(&self, linkage: Linkage, root: &Path) -> Isolation {
        let wanted = match (self.strongest, linkage) {
            (Isolation::OwnRoot, Linkage::Dynamic) => Isolation::Namespaces,
            (wanted, _) => wanted,
        };
        if wanted == Isolation::None || inside::namespaces_work(&self.launcher, wanted, root) {
            wanted
        } else {
            Isolation::None
        }
    }
}

/// An enclave that was started. Dropping it kills the enclave and removes its files.
pub struct Running {
    child: Child,
    handle: Arc<OwnedFd>,
    isolation: Isolation,
    module_end: Arc<OwnedFd>,
    vsock: VsockListener,
    _dir: Directory,
}

impl Running {
    /// How it is kept apart.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Something that can stop it from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.handle))
    }

    /// Waits for its end: the program's exit code, or 128 and the number of the signal that ended it.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn wait(mut self) -> io::Result<u8> {
        self.child.wait().map(code)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // Process 1 of the namespaces ends by this, should `unshare` have been killed before it could see to that.
        let _ = rustix::net::shutdown(&self.module_end, rustix::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// Stops an enclave.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<OwnedFd>);

impl Stopper {
    /// Kills the enclave, if it still runs. It gets no chance to do anything, as when a machine is switched off.
    pub fn stop(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

pub(crate) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}

/// The directory of one enclave, removed at its end. One that an earlier, killed process left is replaced.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn create(path: &Path) -> Result<Self, StartError> {
        if path.symlink_metadata().is_ok() {
            if !path.join(MARKER).is_file() {
                return Err(StartError::Occupied { path: path.to_owned() });
            }
            fs::remove_dir_all(path).map_err(system("directory of an earlier enclave"))?;
        }
        DirBuilder::new().mode(0o700).create(path).map_err(system("directory for the enclave"))?;
        let dir = Self { path: path.to_owned() };
        File::create_new(path.join(MARKER)).map_err(system("directory for the enclave"))?;
        Ok(dir)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether a program needs files of this machine in order to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linkage {
    Static,
    Dynamic,
}

fn linkage(program: &Path) -> Result<Linkage, StartError> {
    let found = program.symlink_metadata().map_err(|_| StartError::NoProgram)?;
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        return Err(StartError::NoProgram);
    }
    let mut head = Vec::new();
    File::open(program)
        .and_then(|file| file.take(64 << 10).read_to_end(&mut head))
        .map_err(system("reading the program"))?;
    Ok(if needs_interpreter(&head) { Linkage::Dynamic } else { Linkage::Static })
}

/// Whether a program is anything but a 64-bit ELF file without an interpreter (`PT_INTERP`).
fn needs_interpreter(head: &[u8]) -> bool {
    const INTERPRETER: [u8; 4] = 3_u32.to_le_bytes();
    let number = |at: usize, length: usize| -> Option<usize> {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(head.get(at..at.checked_add(length)?)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let segments =
        || -> Option<(usize, usize, usize)> { Some((number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?)) };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return true;
    }
    let Some((table, size, count)) = segments() else { return true };
    (0..count).any(|index| {
        let kind = size
            .checked_mul(index)
            .and_then(|offset| table.checked_add(offset))
            .and_then(|at| head.get(at..at.checked_add(4)?));
        kind.is_none_or(|kind| kind == INTERPRETER)
    })
}

/// The words of a command line.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_static_elf_needs_the_machine() {
        assert!(needs_interpreter(b""));
        assert!(needs_interpreter(b"#!/bin/sh"));
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x20] = 64;
        elf[0x36] = 56;
        elf[0x38] = 1;
        elf[64] = 1;
        assert!(!needs_interpreter(&elf));
        elf[64] = 3;
        assert!(needs_interpreter(&elf));
        elf[64] = 1;
        elf[0x38] = 2;
        assert!(needs_interpreter(&elf), "a segment outside of what was read");
        elf[0x20..0x28].fill(0xff);
        assert!(needs_interpreter(&elf));
    }
}
