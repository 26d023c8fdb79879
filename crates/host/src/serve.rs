//! The HTTP server: connections with bounds, an orderly end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::api;
use crate::config::Exposure;
use crate::host::Inner;
use crate::runs;

/// Bytes of a request's line and headers.
const HEADER_BYTES: usize = 16 * 1024;
/// Headers of a request.
const HEADERS: usize = 64;
/// Wait after the system refused a connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Whoever can reach the address can read the token and all ciphertext on their way.
    #[error(
        "{address} can be reached from other machines and this host speaks no TLS; listen on loopback, or put a TLS \
         proxy in front and allow it by name (Config::listen_behind_tls_proxy)"
    )]
    Exposed {
        /// Address of the listener.
        address: SocketAddr,
    },
    /// The listener has no address.
    #[error("the listener has no address: {error}")]
    Listener {
        /// Why.
        error: io::Error,
    },
}

pub(crate) async fn serve(
    inner: Arc<Inner>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(|error| ServeError::Listener { error })?;
    if !address.ip().is_loopback() && inner.config().exposure() != Exposure::BehindTlsProxy {
        return Err(ServeError::Exposed { address });
    }
    inner.start_serving();
    tracing::info!(%address, platform = inner.platform_name(), "the host serves");
    let scheduling = inner.clone();
    // Failures are logged where they happen; the run stays queued.
    let _ = tokio::task::spawn_blocking(move || runs::schedule(&scheduling)).await;

    let timeouts = inner.config().timeouts().clone();
    let service = TowerToHyperService::new(api::router(inner.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.header)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS);
    let connections = usize::try_from(inner.config().limits().connections).unwrap_or(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = permits.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let stream = TokioIo::new(Patient::new(stream, timeouts.request));
        let connection = builder.serve_connection(stream, service.clone()).into_owned();
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    tracing::info!("the host ends");
    inner.end();
    let ending = inner.clone();
    let end = timeouts.end;
    let runs_end = tokio::task::spawn_blocking(move || runs::end_all(&ending));
    if tokio::time::timeout(end, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the end");
    }
    tasks.shutdown().await;
    let _ = runs_end.await;
    // The last thread of a run and the last answer hold the host for a moment more. Who calls may open the data directory
    // again right after this.
    drop(service);
    let deadline = tokio::time::Instant::now() + end;
    while Arc::strong_count(&inner) > 1 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// A connection whose other end must take what is sent: a write that makes no progress for the given time fails, so that
/// a reader that stops reading holds nothing for long. Reads are bounded elsewhere: headers by the server, bodies by the
/// request's time.
struct Patient {
    stream: TcpStream,
    time: Duration,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, time: Duration) -> Self {
        Self { stream, time, stall: None }
    }

    fn progress<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stall = None;
            return outcome;
        }
        let time = self.time;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.progress(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.progress(context, outcome)
    }
}
