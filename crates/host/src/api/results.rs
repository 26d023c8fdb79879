//! Routes of results: sealed files for their recipients, and the receipt.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;

use super::images::file_answer;
use super::openapi::Octets;
use super::{Answer, ApiProblem, run_in_path, with_store};
use crate::host::Inner;
use crate::messages::{Problem, ProblemCode, ResultFacts, ResultList, RunId, RunState};
use crate::store::Store;

fn no_results(state: &RunState) -> ApiProblem {
    ApiProblem::new(
        ProblemCode::UnknownResult,
        format!("The run has no results; it is {}.", state.name()),
        "Wait for the run to finish, or start it again.",
    )
}

/// Results count only when the run is finished: the last commit is the state's.
fn results_of(store: &Store, id: &RunId) -> Answer<Vec<ResultFacts>> {
    let Some(run) = store.run(id)? else {
        return Err(ApiProblem::unknown(ProblemCode::UnknownRun, "run of this id"));
    };
    match (&run.facts.state, store.results(id)?) {
        (RunState::Finished, Some(results)) => Ok(results),
        (state, _) => Err(no_results(state)),
    }
}

/// Result files of a finished run.
#[utoipa::path(get, path = "/v1/runs/{run}/results", tag = "results",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 200, body = ResultList), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(inner): State<Arc<Inner>>,
    Path(run): Path<String>,
) -> Answer<Json<ResultList>> {
    let id = run_in_path(&run)?;
    with_store(&inner, move |store| Ok(Json(ResultList { results: results_of(store, &id)? }))).await
}

/// A result file: an age file for its recipient.
#[utoipa::path(get, path = "/v1/runs/{run}/results/{name}", tag = "results",
    params(("run" = String, Path, description = "Id of the run"),
        ("name" = String, Path, description = "OUTPUT.RECIPIENT.age")),
    responses((status = 200, content_type = "application/octet-stream", body = Octets), (status = "default", body = Problem)))]
pub(super) async fn file(
    State(inner): State<Arc<Inner>>,
    Path((run, name)): Path<(String, String)>,
) -> Answer<Response> {
    let id = run_in_path(&run)?;
    let path = with_store(&inner, move |store| {
        // Only names of the index become paths.
        match results_of(store, &id)?.into_iter().find(|result| result.name == name) {
            Some(result) => Ok(store.result_path(&id, &result.name)),
            None => Err(ApiProblem::unknown(ProblemCode::UnknownResult, "result of this name")),
        }
    })
    .await?;
    file_answer(&path, "application/octet-stream").await
}

/// The receipt of a finished run: a DSSE envelope.
#[utoipa::path(get, path = "/v1/runs/{run}/receipt", tag = "results",
    params(("run" = String, Path, description = "Id of the run")),
    responses((status = 200, content_type = "application/json", body = serde_json::Value), (status = "default", body = Problem)))]
pub(super) async fn receipt(State(inner): State<Arc<Inner>>, Path(run): Path<String>) -> Answer<Response> {
    let id = run_in_path(&run)?;
    let path = with_store(&inner, move |store| {
        results_of(store, &id)?;
        Ok(store.receipt_path(&id))
    })
    .await?;
    file_answer(&path, "application/json").await
}
