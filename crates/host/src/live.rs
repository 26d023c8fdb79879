//! A run that has an enclave, or is about to.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::messages::RunProgress;
use crate::platform::Enclave;

/// What others may do to a live run: look at its progress, and end it.
#[derive(Default)]
pub(crate) struct Live {
    state: Mutex<LiveState>,
    progress: Mutex<RunProgress>,
    ended: Condvar,
    is_to_end: watch::Sender<bool>,
}

#[derive(Default)]
struct LiveState {
    enclave: Option<Arc<dyn Enclave>>,
    ending: Option<Ending>,
    is_ended: bool,
}

/// Why a run is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody asked.
    Stop,
    /// The host ends.
    HostEnds,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these hold is whole after every single assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(crate) fn progress(&self) -> RunProgress {
        lock(&self.progress).clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut RunProgress)) {
        change(&mut lock(&self.progress));
    }

    /// The enclave, from now on in reach of [`Live::end`]. If that was called before, the enclave is killed at once.
    pub(crate) fn has_enclave(&self, enclave: Arc<dyn Enclave>) {
        let mut state = lock(&self.state);
        if state.ending.is_some() {
            enclave.kill();
        }
        state.enclave = Some(enclave);
    }

    /// Ends the run: its thread finds the channel closed and asks [`Live::ending`] why. The first reason counts.
    pub(crate) fn end(&self, why: Ending) {
        let enclave = {
            let mut state = lock(&self.state);
            state.ending.get_or_insert(why);
            state.enclave.clone()
        };
        self.is_to_end.send_replace(true);
        if let Some(enclave) = enclave {
            enclave.kill();
        }
    }

    /// Waits until [`Live::end`] was called.
    pub(crate) async fn is_to_end(&self) {
        // The sender is this struct's: it outlives the wait.
        let _ = self.is_to_end.subscribe().wait_for(|is_to_end| *is_to_end).await;
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        lock(&self.state).ending
    }

    /// Its thread is done with it.
    pub(crate) fn has_ended(&self) {
        let mut state = lock(&self.state);
        state.is_ended = true;
        state.enclave = None;
        self.ended.notify_all();
    }

    /// Waits until its thread is done with it, or the time is over.
    pub(crate) fn wait(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        while !state.is_ended {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            state = self
                .ended
                .wait_timeout(state, left)
                .map_or_else(|poison| poison.into_inner().0, |pair| pair.0);
        }
    }
}
