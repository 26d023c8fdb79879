//! The asynchronous runtime of the commands that speak HTTP.

use std::future::Future;

use anyhow::{Context, Result};

/// Run one future to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}
