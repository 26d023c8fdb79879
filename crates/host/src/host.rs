//! A host: its data directory, its platform, its live runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::config::{Config, ConfigError};
use crate::keys::{KeyServices, KeyServicesError};
use crate::live::Live;
use crate::messages::{RunId, RunProgress};
use crate::platform::{Local, LocalError, Platform};
use crate::runs;
use crate::serve::{self, ServeError};
use crate::store::files::PrivateFileError;
use crate::store::{OpenStoreError, Store};
use crate::token::Token;

/// A host that owns its data directory. Nothing runs before [`Host::serve`].
pub struct Host {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    config: Config,
    store: Store,
    token: Token,
    platform: Box<dyn Platform>,
    keys: KeyServices,
    live: Mutex<BTreeMap<RunId, Arc<Live>>>,
    runtime: OnceLock<Handle>,
    ending: AtomicBool,
    changes: watch::Sender<()>,
    requests: Semaphore,
    waiters: Semaphore,
    measuring: Semaphore,
}

/// Why a host was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The token, or the secret of a key service.
    #[error(transparent)]
    Secret(#[from] PrivateFileError),
    /// A key service.
    #[error(transparent)]
    KeyServices(#[from] KeyServicesError),
    /// The local platform.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// What an earlier life of this host left could not be settled.
    #[error("runs of an earlier life of this host could not be settled: {problem}")]
    Recovery {
        /// Why.
        problem: String,
    },
}

impl Host {
    /// Opens the data directory (made if it is missing) for enclaves on the `local` platform. What an earlier life of
    /// this host left is settled first: its enclaves are ended, its live runs become finished, if all their results are
    /// there, or interrupted.
    ///
    /// # Errors
    /// An [`OpenError`]; nothing of the data directory is lost by any.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let platform = Local::new(&config)?;
        Self::with_platform(config, platform)
    }

    /// As [`Host::open`], on another platform.
    ///
    /// # Errors
    /// As for [`Host::open`].
    pub fn with_platform(config: Config, platform: impl Platform) -> Result<Self, OpenError> {
        let store = Store::open(config.data(), config.limits())?;
        let token = Token::open(store.root(), store.scratch())?;
        let keys = KeyServices::new(&config)?;
        let permits = |number: u32| Semaphore::new(usize::try_from(number).unwrap_or(Semaphore::MAX_PERMITS));
        let inner = Inner {
            store,
            token,
            platform: Box::new(platform),
            keys,
            live: Mutex::default(),
            runtime: OnceLock::new(),
            ending: AtomicBool::new(false),
            changes: watch::Sender::new(()),
            requests: permits(config.limits().requests),
            waiters: permits(config.limits().requests),
            measuring: Semaphore::new(1),
            config,
        };
        runs::settle(&inner).map_err(|error| OpenError::Recovery { problem: error.to_string() })?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file with the bearer token.
    #[must_use]
    pub fn token_path(&self) -> &Path {
        self.inner.token.path()
    }

    /// Serves the API and works on runs until `shutdown` is ready. Then live runs become interrupted, their enclaves are
    /// ended, and open requests get [`Timeouts::end`](crate::Timeouts::end) to finish.
    ///
    /// # Errors
    /// [`ServeError`] if the listener's address is not allowed.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        serve::serve(self.inner, listener, shutdown).await
    }

    /// The API's description, OpenAPI 3.1, as JSON with two spaces of indentation and a final line feed.
    ///
    /// # Panics
    /// Never: a description is always representable as JSON.
    #[must_use]
    pub fn openapi() -> String {
        let json = serde_json::to_string_pretty(&crate::api::document());
        json.expect("a description has text keys only") + "\n"
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("data", &self.inner.store.root()).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    pub(crate) fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    pub(crate) fn platform_name(&self) -> &'static str {
        self.platform.name()
    }

    pub(crate) fn keys(&self) -> &KeyServices {
        &self.keys
    }

    /// Runs that have a thread.
    pub(crate) fn live(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Live>>> {
        // A thread that panicked while it held the map left it whole: every change is one insert or remove.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self, id: &RunId) -> Option<RunProgress> {
        self.live().get(id).map(|live| live.progress())
    }

    /// The runtime that key requests run on; `None` before [`Host::serve`].
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    pub(crate) fn start_serving(&self) {
        // A host is served once: `serve` takes it.
        let _ = self.runtime.set(Handle::current());
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.touch();
    }

    /// Wakes whoever waits for events.
    pub(crate) fn touch(&self) {
        self.changes.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(crate) fn requests(&self) -> &Semaphore {
        &self.requests
    }

    pub(crate) fn waiters(&self) -> &Semaphore {
        &self.waiters
    }

    pub(crate) fn measuring(&self) -> &Semaphore {
        &self.measuring
    }
}
