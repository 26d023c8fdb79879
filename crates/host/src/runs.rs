//! The life of runs: asked for, queued, live, ended; settled after a crash.
//!
//! Every change of state is one commit of the database. A run that is live has a thread of this process; when the process
//! ends by whatever means, the next start finds the run live without a thread and settles it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::ApiProblem;
use crate::host::Inner;
use crate::job::{Job, JobError};
use crate::live::{Ending, Live};
use crate::messages::{FailureReason, NewRun, ProblemCode, RunFacts, RunId, RunState};
use crate::platform::{Launch, Remains};
use crate::record::RunRecord;
use crate::relay::{self, Conversation, Failure};
use crate::store::StoreError;

/// Wait of a request that stops a run, for the run's end; and of the host's end for all runs.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Wait between two looks whether an enclave has ended by itself.
const END_PAUSE: Duration = Duration::from_millis(10);

impl From<JobError> for ApiProblem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Incomplete(what) => {
                Self::new(ProblemCode::RunIncomplete, format!("{what}."), "Upload it, then ask again.")
            }
            JobError::Refused(what) => Self::new(
                ProblemCode::RunIncomplete,
                format!("{what}."),
                "What is stored does not fit together: compare agreement, input set and signatures.",
            ),
            error @ (JobError::Memory { .. } | JobError::Results { .. }) => Self::new(
                ProblemCode::LimitReached,
                format!("{error}."),
                "Have the platform owner raise the limit, or use another host.",
            ),
            JobError::Store(error) => error.into(),
        }
    }
}

/// Takes a run into the queue.
pub(crate) fn create(inner: &Arc<Inner>, run: NewRun) -> Result<RunFacts, ApiProblem> {
    let job = Job::assemble(inner.store(), &run, inner.config().limits())?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
    let record = RunRecord::new(RunId::from_random(random), run, job.pcr0);
    inner.store().add_run(&record)?;
    tracing::info!(run = %record.facts.id, agreement = %record.facts.run.agreement, analysis = record.facts.run.analysis, "queued");
    inner.touch();
    schedule(inner);
    Ok(record.facts)
}

/// Takes a run that ended without results into the queue again, with the same inputs.
pub(crate) fn repeat(inner: &Arc<Inner>, id: &RunId) -> Result<RunFacts, ApiProblem> {
    let facts = inner.store().change_run(id, |run| {
        if !run.facts.state.is_repeatable() {
            return Err(ApiProblem::new(
                ProblemCode::RunState,
                format!(
                    "The run is {}; only a run that ended without results is started again.",
                    run.facts.state.name()
                ),
                "Wait for it to end, or ask for a new run.",
            ));
        }
        run.facts.attempt = run.facts.attempt.saturating_add(1);
        run.enter(RunState::Queued);
        Ok(run.facts.clone())
    });
    let facts = facts.map_err(|problem| missing_run(inner, id, problem))?;
    inner.touch();
    schedule(inner);
    Ok(facts)
}

fn missing_run(inner: &Inner, id: &RunId, problem: ApiProblem) -> ApiProblem {
    match inner.store().run(id) {
        Ok(None) => ApiProblem::unknown(ProblemCode::UnknownRun, "run of this id"),
        _ => problem,
    }
}

/// Stops a run that waits or is live, and waits a little for its end.
pub(crate) fn stop(inner: &Arc<Inner>, id: &RunId) -> Result<(), ApiProblem> {
    let live = inner.live().get(id).cloned();
    if let Some(live) = live {
        live.end(Ending::Stop);
        live.wait(STOP_TIME);
        return Ok(());
    }
    let stopped = inner.store().change_run(id, |run| match run.facts.state {
        RunState::Queued => {
            run.enter(RunState::Stopped);
            Ok(())
        }
        ref state => Err(ApiProblem::new(
            ProblemCode::RunState,
            format!("The run is {}.", state.name()),
            "Only a run that waits or is live is stopped.",
        )),
    });
    stopped.map_err(|problem| missing_run(inner, id, problem))?;
    inner.touch();
    Ok(())
}

/// Gives queued runs threads, as many as may be live. Called whenever a run may have become first in the queue.
pub(crate) fn schedule(inner: &Arc<Inner>) {
    if let Err(error) = try_schedule(inner) {
        tracing::error!(%error, "the queue could not be worked on");
    }
}

fn try_schedule(inner: &Arc<Inner>) -> Result<(), StoreError> {
    if inner.runtime().is_none() {
        return Ok(());
    }
    let most = usize::try_from(inner.config().limits().concurrent_runs).unwrap_or(usize::MAX);
    let mut live_runs = inner.live();
    for run in inner.store().active_runs()? {
        if inner.is_ending() || live_runs.len() >= most {
            break;
        }
        let id = run.facts.id;
        if run.facts.state != RunState::Queued || live_runs.contains_key(&id) {
            continue;
        }
        let live = Arc::new(Live::default());
        live_runs.insert(id.clone(), live.clone());
        let host = inner.clone();
        // A thread of its own: parent-death signals of its children fire when it ends, not when a pool shrinks.
        let name = format!("run-{}", id.as_str().get(..8).unwrap_or_default());
        let thread = std::thread::Builder::new().name(name).spawn({
            let id = id.clone();
            move || {
                let guard = Unlisted { inner: &host, id: &id, live: &live };
                attempt(&host, &id, &live);
                drop(guard);
                schedule(&host);
            }
        });
        if let Err(error) = thread {
            live_runs.remove(&id);
            return Err(error.into());
        }
    }
    Ok(())
}

/// Takes a run off the list of live runs, even if its thread panics: then the run becomes failed.
struct Unlisted<'a> {
    inner: &'a Arc<Inner>,
    id: &'a RunId,
    live: &'a Live,
}

impl Drop for Unlisted<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = Failure::new(FailureReason::Storage, "A defect of the host ended the run.");
            conclude(self.inner, self.id, failure.state());
        }
        self.inner.live().remove(self.id);
        self.live.has_ended();
        self.inner.touch();
    }
}

/// One attempt at a run, from the queue to its end.
fn attempt(inner: &Arc<Inner>, id: &RunId, live: &Live) {
    let state = match work(inner, id, live) {
        Ok(Some(state)) => state,
        // Somebody was faster than the queue.
        Ok(None) => return,
        Err(failure) => failure.state(),
    };
    let state = match live.ending() {
        // Why the channel closed is known better here.
        Some(Ending::Stop) if state != RunState::Finished => RunState::Stopped,
        Some(Ending::HostEnds) if state != RunState::Finished => RunState::Interrupted,
        _ => state,
    };
    conclude(inner, id, state);
}

fn conclude(inner: &Inner, id: &RunId, state: RunState) {
    let name = state.name();
    let concluded = inner.store().change_run(id, |run| {
        if run.facts.state.is_ended() {
            return Ok(());
        }
        run.process = None;
        run.work = None;
        run.enter(state);
        Ok::<_, StoreError>(())
    });
    match concluded {
        Ok(()) => tracing::info!(run = %id, state = name, "ended"),
        // The next start settles it.
        Err(error) => tracing::error!(run = %id, %error, "the end of a run could not be stored"),
    }
    inner.touch();
}

fn work(inner: &Arc<Inner>, id: &RunId, live: &Live) -> Result<Option<RunState>, Failure> {
    let run_deadline = Instant::now() + inner.config().timeouts().run;
    let record = inner.store().run(id)?.ok_or(StoreError::Missing)?;
    let job = Job::assemble(inner.store(), &record.facts.run, inner.config().limits()).map_err(|error| {
        Failure::new(FailureReason::Storage, format!("The run cannot be started: {error}."))
    })?;
    live.update(|progress| progress.input_bytes = job.input_bytes());
    // Short, for a Unix socket's path has 108 bytes at most; the data directory may lie deep.
    let directory = tempfile::Builder::new().prefix("entente-").tempdir().map_err(StoreError::from)?;
    let is_queued = inner.store().change_run(id, |run| {
        if run.facts.state != RunState::Queued {
            return Ok(false);
        }
        run.work = Some(directory.path().to_owned());
        run.enter(RunState::Starting);
        Ok::<_, StoreError>(true)
    })?;
    if !is_queued {
        return Ok(None);
    }
    inner.touch();
    let launch =
        Launch::new(inner.store().image_path(&job.pcr0), job.memory_mib, directory.path().to_owned());
    let enclave: Arc<dyn crate::platform::Enclave> = inner
        .platform()
        .start(&launch)
        .map_err(|error| {
            Failure::new(FailureReason::Platform, format!("The enclave was not started: {error}."))
        })?
        .into();
    let guard = Killed(&*enclave);
    live.has_enclave(enclave.clone());
    inner.store().change_run(id, |run| {
        run.process = enclave.process();
        Ok::<_, StoreError>(())
    })?;
    let running = || {
        inner.store().change_run(id, |run| {
            run.enter(RunState::Running);
            Ok::<_, StoreError>(())
        })?;
        inner.touch();
        Ok(())
    };
    let conversation = relay::converse(inner, id, &job, live, &*enclave, run_deadline, running);
    let state = match conversation {
        Conversation::Finished { results, last } => {
            inner.store().keep_results(id, results)?;
            // From here on the run is finished, whatever happens to the host: the next start finds the results.
            conclude(inner, id, RunState::Finished);
            last.taken();
            RunState::Finished
        }
        Conversation::Halted(code) => RunState::Halted { code },
        Conversation::Failed(failure) => return Err(failure),
    };
    // It has said its last word: it may end by itself for a moment, then it is ended.
    let deadline = Instant::now() + inner.config().timeouts().end;
    while enclave.ended().is_none() && Instant::now() < deadline {
        std::thread::sleep(END_PAUSE);
    }
    drop(guard);
    Ok(Some(state))
}

/// Ends an enclave on every way out.
struct Killed<'a>(&'a dyn crate::platform::Enclave);

impl Drop for Killed<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Ends all live runs because the host ends, and waits for their threads.
pub(crate) fn end_all(inner: &Arc<Inner>) {
    let live: Vec<Arc<Live>> = inner.live().values().cloned().collect();
    for run in &live {
        run.end(Ending::HostEnds);
    }
    let deadline = Instant::now() + STOP_TIME;
    for run in &live {
        run.wait(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Settles what an earlier life of the host left live.
pub(crate) fn settle(inner: &Inner) -> Result<(), StoreError> {
    for run in inner.store().active_runs()? {
        if !run.facts.state.is_live() {
            continue;
        }
        let id = &run.facts.id;
        if let Some(work) = run.work {
            inner.platform().clean_up(&Remains::new(run.process, work.clone()));
            match std::fs::remove_dir_all(&work) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(run = %id, %error, "the directory of an enclave could not be removed");
                }
                _ => {}
            }
        }
        let state = if inner.store().has_results(id) { RunState::Finished } else { RunState::Interrupted };
        tracing::info!(run = %id, state = state.name(), "settled after the end of the host");
        inner.store().change_run(id, |run| {
            run.process = None;
            run.work = None;
            run.enter(state);
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}
