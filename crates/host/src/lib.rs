//! The host: the parent instance's program. It stores what parties upload, starts enclaves, and relays bytes between an
//! enclave, the store and the owners' key services. An HTTP API is its face; [`client`] speaks it.
//!
//! Threat model:
//! * whoever runs the host is trusted for availability only: nothing here decides what an enclave, an owner or a verifier
//!   accepts, and no type here can hold plaintext; its checks only make mistakes show early;
//! * clients and enclaves may be hostile to the host: every size, number and wait is bounded, every message is checked, and
//!   neither can make it write outside of its data directory or forget a run;
//! * the process may be killed at any moment: a file has its name only when it is whole, a run's state is one commit, and
//!   the next start settles what was live.
//!
//! This version speaks no TLS. It listens on loopback unless the configuration says by name that a TLS proxy stands in
//! front ([`Config::listen_behind_tls_proxy`]).
//!
//! ```no_run
//! use entente_host::{Config, Host};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::open(Config::new("/var/lib/entente"))?;
//! println!("token: {}", host.token_path().display());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7080").await?;
//! host.serve(listener, async { let _ = tokio::signal::ctrl_c().await; }).await?;
//! # Ok(())
//! # }
//! ```

mod api;
pub mod client;
mod clock;
mod config;
mod host;
mod job;
mod keys;
mod live;
pub mod messages;
mod objects;
pub mod platform;
mod record;
mod relay;
mod runs;
mod serve;
mod store;
mod subjects;
mod token;

pub use config::{Config, ConfigError, Exposure, KeyServiceConfig, Limits, LocalPlatform, Timeouts};
pub use host::{Host, OpenError};
pub use keys::KeyServicesError;
pub use serve::ServeError;
pub use store::OpenStoreError;
pub use store::files::PrivateFileError;
