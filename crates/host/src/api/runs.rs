//! Routes of runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use entente_attestation::Digest384;
use serde::Deserialize;

use super::{Answer, ApiProblem, digest_in_path, limit_of, read_json, run_in_path, with_store};
use crate::host::Inner;
use crate::messages::{NewRun, Problem, ProblemCode, RunEvents, RunFacts, RunId, RunList};
use crate::runs;
use crate::store::Store;

/// The longest that a request for events waits, seconds.
const WAIT_SECONDS: u64 = 30;

/// Which runs are asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Only runs of this agreement.
    #[param(required = false)]
    agreement: Option<String>,
    /// Only runs in the state of this name.
    #[param(required = false)]
    state: Option<String>,
    /// At most this many, 1 to 1,000; 100 if not given.
    #[param(required = false)]
    limit: Option<usize>,
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only events with a number above this one.
    #[param(required = false)]
    after: u64,
    /// Wait up to this many seconds, at most 30, until there is one.
    #[param(required = false)]
    wait_seconds: u64,
}

fn facts_of(inner: &Inner, store: &Store, id: &RunId) -> Answer<RunFacts> {
    match store.run(id)? {
        Some(run) => Ok(with_progress(inner, run.facts)),
        None => Err(ApiProblem::unknown(ProblemCode::UnknownRun, "run of this id")),
    }
}

fn with_progress(inner: &Inner, mut facts: RunFacts) -> RunFacts {
    facts.progress = inner.progress(&facts.id).filter(|_| facts.state.is_live());
    facts
}

/// Ask for a run. Everything it needs must be here: approvals, input set with signatures, sealed files, image.
#[utoipa::path(post, path = "/v1/runs", tag = "runs", request_body = NewRun,
    responses((status = 201, body = RunFacts), (status = "default", body = Problem)))]
pub(super) async fn create(
    State(inner): State<Arc<Inner>>,
    body: Body,
) -> Answer<(StatusCode, Json<RunFacts>)> {
    let run: NewRun = read_json(body).await?;
    let host = inner.clone();
    let facts = with_store(&inner, move |_| runs::create(&host, run)).await?;
    Ok((StatusCode::CREATED, Json(facts)))
}

/// Runs, newest first.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(Selection),
    responses((status = 200, body = RunList), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(inner): State<Arc<Inner>>,
    Query(selection): Query<Selection>,
) -> Answer<Json<RunList>> {
    let agreement: Option<Digest384> = selection.agreement.as_deref().map(digest_in_path).transpose()?;
    let limit = limit_of(selection.limit)?;
    let host = inner.clone();
    with_store(&inner, move |store| {
        let wanted = |run: &crate::record::RunRecord| {
            agreement.is_none_or(|agreement| run.facts.run.agreement == agreement)
                && selection.state.as_deref().is_none_or(|state| run.facts.state.name() == state)
        };
        let runs = store.runs(limit, wanted)?;
        Ok(Json(RunList { runs: runs.into_iter().map(|run| with_progress(&host, run.facts)).collect() }))
    })
    .await
}

/// A run: its state, its history, and how far it is.
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 200, body = RunFacts), (status = "default", body = Problem)))]
pub(super) async fn facts(
    State(inner): State<Arc<Inner>>,
    Path(run): Path<String>,
) -> Answer<Json<RunFacts>> {
    let id = run_in_path(&run)?;
    let host = inner.clone();
    with_store(&inner, move |store| Ok(Json(facts_of(&host, store, &id)?))).await
}

/// Start a run again that ended without results, with the same inputs.
#[utoipa::path(post, path = "/v1/runs/{run}/start", tag = "runs",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 200, body = RunFacts), (status = "default", body = Problem)))]
pub(super) async fn start(
    State(inner): State<Arc<Inner>>,
    Path(run): Path<String>,
) -> Answer<Json<RunFacts>> {
    let id = run_in_path(&run)?;
    let host = inner.clone();
    with_store(&inner, move |_| runs::repeat(&host, &id).map(Json)).await
}

/// Stop a run that waits or is live. Its enclave is ended; there are no results.
#[utoipa::path(post, path = "/v1/runs/{run}/stop", tag = "runs",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 200, body = RunFacts), (status = "default", body = Problem)))]
pub(super) async fn stop(State(inner): State<Arc<Inner>>, Path(run): Path<String>) -> Answer<Json<RunFacts>> {
    let id = run_in_path(&run)?;
    let host = inner.clone();
    with_store(&inner, move |store| {
        runs::stop(&host, &id)?;
        Ok(Json(facts_of(&host, store, &id)?))
    })
    .await
}

/// Remove a run that has ended, with its results.
#[utoipa::path(delete, path = "/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn remove(State(inner): State<Arc<Inner>>, Path(run): Path<String>) -> Answer<StatusCode> {
    let id = run_in_path(&run)?;
    let host = inner.clone();
    with_store(&inner, move |store| {
        let facts = facts_of(&host, store, &id)?;
        if !facts.state.is_ended() {
            return Err(ApiProblem::new(
                ProblemCode::RunState,
                format!("The run is {}.", facts.state.name()),
                "Stop it first.",
            ));
        }
        store.remove_run(&id)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What happened to a run, for following it: ask again with the last number that was seen.
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "runs",
    params(("run" = String, Path, description = "Id of the run"), Since),
    responses((status = 200, body = RunEvents), (status = "default", body = Problem)))]
pub(super) async fn events(
    State(inner): State<Arc<Inner>>,
    Path(run): Path<String>,
    Query(since): Query<Since>,
) -> Answer<Json<RunEvents>> {
    let id = run_in_path(&run)?;
    if since.wait_seconds > WAIT_SECONDS {
        return Err(ApiProblem::malformed_path("The query's wait_seconds is above 30."));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(since.wait_seconds);
    let mut changes = inner.changes();
    loop {
        // Marked as seen before looking, so that no change falls between the look and the wait.
        changes.mark_unchanged();
        let (id, host) = (id.clone(), inner.clone());
        let events = with_store(&inner, move |store| {
            facts_of(&host, store, &id)?;
            Ok(store.events(&id, since.after)?)
        })
        .await?;
        if !events.is_empty() || tokio::time::Instant::now() >= deadline || inner.is_ending() {
            return Ok(Json(RunEvents { events }));
        }
        // A timeout and the end of the host both mean: look once more and answer.
        let _ = tokio::time::timeout_at(deadline, changes.changed()).await;
    }
}
