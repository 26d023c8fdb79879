//! An enclave's vsock as a Unix socket, in the convention of Firecracker and vhost-device-vsock ("hybrid vsock"): the
//! host connects, writes `CONNECT <port>\n`, reads `OK <port>\n`, and then has the stream.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The port that an enclave of ours listens on.
pub const ENCLAVE_PORT: u32 = 5005;

/// Longest first line: `CONNECT 4294967295` and a line feed.
const LINE_LIMIT: usize = 19;
/// How long a peer may take for its first line.
const LINE_TIME: Duration = Duration::from_secs(5);
/// Connections at a time; each takes two threads.
const CONNECTION_LIMIT: usize = 256;
/// Bytes copied at a time.
const PIECE: usize = 64 << 10;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VsockError {
    /// Another process listens there.
    #[error("{}: another process listens there", path.display())]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something other than a socket is there.
    #[error("{}: exists and is not a socket", path.display())]
    NotASocket {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening hybrid-vsock socket. Dropping it removes the file; streams that are open live on.
#[derive(Debug)]
pub struct VsockListener {
    listener: UnixListener,
    path: PathBuf,
}

impl VsockListener {
    /// Listens at a path, readable for this user only; a directory that is not there is made with mode 0700. A socket
    /// that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// [`VsockError`].
    pub fn bind(path: &Path) -> Result<Self, VsockError> {
        let failed = |source| VsockError::Socket { path: path.to_owned(), source };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        if let Ok(found) = path.symlink_metadata() {
            if !found.file_type().is_socket() {
                return Err(VsockError::NotASocket { path: path.to_owned() });
            }
            match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                Ok(_) => return Err(VsockError::InUse { path: path.to_owned() }),
                Err(error) => return Err(failed(error)),
            }
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries connections to the enclave, whose listening socket is at `enclave`, from threads of its own, until the
    /// process ends. Peers that ask for another port than [`ENCLAVE_PORT`], or for nothing in time, are closed.
    ///
    /// # Errors
    ///
    /// [`VsockError::Socket`] if the socket cannot be shared with a thread.
    pub fn carry_to(&self, enclave: &Path) -> Result<(), VsockError> {
        let failed = |source| VsockError::Socket { path: self.path.clone(), source };
        let listener = self.listener.try_clone().map_err(failed)?;
        let enclave: Arc<Path> = Arc::from(enclave);
        let open = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = match stream {
                    Ok(stream) => stream,
                    // Shut down by `drop`.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                    Err(_) => {
                        // Out of descriptors, most likely: do not spin.
                        thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                };
                if open.load(Ordering::SeqCst) >= CONNECTION_LIMIT {
                    continue;
                }
                let place = Place::take(&open);
                let enclave = Arc::clone(&enclave);
                // A thread that cannot be had closes the connection, which is all that can be done.
                let _ = thread::Builder::new().spawn(move || {
                    let _place = place;
                    let _ = carry(&stream, &enclave);
                });
            }
        });
        Ok(())
    }
}

impl Drop for VsockListener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// One of the connections that may be open.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn carry(host: &UnixStream, enclave: &Path) -> io::Result<()> {
    let port = first_line(host)?;
    if port != ENCLAVE_PORT {
        return Ok(());
    }
    let inside = UnixStream::connect(enclave)?;
    host.set_read_timeout(None)?;
    let mut to_host = host;
    to_host.write_all(format!("OK {port}\n").as_bytes())?;
    host.set_write_timeout(None)?;
    thread::scope(|scope| {
        scope.spawn(|| copy(host, &inside));
        copy(&inside, host);
    });
    Ok(())
}

/// Copies one direction to its end and passes the end on; an error ends both directions.
fn copy(mut from: &UnixStream, mut to: &UnixStream) {
    let mut piece = vec![0; PIECE];
    let ended = loop {
        match from.read(&mut piece) {
            Ok(0) => break true,
            Ok(length) => {
                if to.write_all(&piece[..length]).is_err() {
                    break false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    if ended {
        let _ = to.shutdown(Shutdown::Write);
    } else {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// Reads `CONNECT <port>\n`, byte by byte so that nothing behind it is taken.
fn first_line(mut host: &UnixStream) -> io::Result<u32> {
    let refused = || io::Error::from(io::ErrorKind::InvalidData);
    let until = Instant::now() + LINE_TIME;
    host.set_write_timeout(Some(LINE_TIME))?;
    let mut line = Vec::with_capacity(LINE_LIMIT);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        host.set_read_timeout(Some(left))?;
        let mut byte = [0];
        match host.read(&mut byte)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if byte == *b"\n" => break,
            _ if line.len() + 1 == LINE_LIMIT => return Err(refused()),
            _ => line.push(byte[0]),
        }
    }
    let digits = line.strip_prefix(b"CONNECT ").ok_or_else(refused)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refused());
    }
    core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(refused)
}
