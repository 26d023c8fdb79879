//! The HTTP API: routes, who may use them, and the bounds on every request.

mod documents;
mod images;
mod openapi;
mod problem;
mod results;
mod runs;
mod sealed;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use entente_attestation::Digest384;
use futures_util::StreamExt;
use serde::Deserialize;

use crate::host::Inner;
use crate::messages::{Health, ProblemCode, RunId};
use crate::store::{Store, StoreError};
pub(crate) use openapi::document;
pub(crate) use problem::ApiProblem;

/// What a handler gives: an answer or a problem.
type Answer<T> = Result<T, ApiProblem>;

/// Bytes of a text object (PROTOCOL §0).
pub(crate) const OBJECT_BYTES: u64 = 256 * 1024;
/// Bytes of an armored signature. The longest in use, RSA with 16,384 bits, has about 6 KiB.
pub(crate) const SIGNATURE_BYTES: u64 = 16 * 1024;
/// Bytes of a JSON body.
const JSON_BYTES: u64 = 16 * 1024;
/// Objects and runs that one list holds at most.
const LIST: usize = 1_000;

/// All routes.
pub(crate) fn router(inner: Arc<Inner>) -> Router {
    let quick = Router::new()
        .route("/v1/agreements", get(documents::list_agreements))
        .route("/v1/agreements/{agreement}", get(documents::agreement_facts).put(documents::put_agreement))
        .route("/v1/agreements/{agreement}/text", get(documents::agreement_text))
        .route(
            "/v1/agreements/{agreement}/approvals/{party}",
            get(documents::approval).put(documents::put_approval),
        )
        .route("/v1/agreements/{agreement}/manifests", get(documents::list_manifests))
        .route("/v1/agreements/{agreement}/inputs", get(documents::list_inputs))
        .route("/v1/agreements/{agreement}/requests", get(documents::list_requests))
        .route("/v1/manifests/{manifest}", get(documents::manifest_facts).put(documents::put_manifest))
        .route("/v1/manifests/{manifest}/text", get(documents::manifest_text))
        .route(
            "/v1/manifests/{manifest}/signature",
            get(documents::manifest_signature).put(documents::put_manifest_signature),
        )
        .route(
            "/v1/manifests/{manifest}/chunks",
            get(sealed::chunk_list).put(sealed::put_chunk_list).delete(sealed::remove),
        )
        .route("/v1/manifests/{manifest}/chunks/{number}", put(sealed::put_chunk))
        .route("/v1/manifests/{manifest}/missing", get(sealed::missing))
        .route("/v1/inputs/{inputs}", get(documents::inputs_facts).put(documents::put_inputs))
        .route("/v1/inputs/{inputs}/text", get(documents::inputs_text))
        .route(
            "/v1/inputs/{inputs}/signatures/{party}",
            get(documents::inputs_signature).put(documents::put_inputs_signature),
        )
        .route("/v1/requests/{request}", get(documents::request_facts).put(documents::put_request))
        .route("/v1/requests/{request}/text", get(documents::request_text))
        .route(
            "/v1/requests/{request}/signatures/{party}",
            get(documents::request_signature).put(documents::put_request_signature),
        )
        .route("/v1/images", get(images::list))
        .route("/v1/runs", get(runs::list).post(runs::create))
        .route("/v1/runs/{run}", get(runs::facts).delete(runs::remove))
        .route("/v1/runs/{run}/start", post(runs::start))
        .route("/v1/runs/{run}/stop", post(runs::stop))
        .route("/v1/runs/{run}/results", get(results::list))
        .route("/v1/runs/{run}/receipt", get(results::receipt))
        .layer(middleware::from_fn_with_state(inner.clone(), quick_limits));
    let transfers = Router::new()
        .route("/v1/images/{pcr0}", get(images::facts).put(images::put).delete(images::remove))
        .route("/v1/images/{pcr0}/eif", get(images::file))
        .route("/v1/runs/{run}/results/{name}", get(results::file))
        .layer(middleware::from_fn_with_state(inner.clone(), transfer_limits));
    let waits = Router::new()
        .route("/v1/runs/{run}/events", get(runs::events))
        .layer(middleware::from_fn_with_state(inner.clone(), wait_limits));
    let guarded =
        quick.merge(transfers).merge(waits).layer(middleware::from_fn_with_state(inner.clone(), authorize));
    Router::new()
        .route("/healthz", get(health))
        .route("/openapi.json", get(openapi::serve))
        .merge(guarded)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(problems_as_json))
        .with_state(inner)
}

/// Whether the host answers.
#[utoipa::path(get, path = "/healthz", tag = "host", security(()), responses((status = 200, body = Health)))]
async fn health(State(inner): State<Arc<Inner>>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: inner.platform_name().to_owned(),
    })
}

async fn no_such_route() -> ApiProblem {
    ApiProblem::new(ProblemCode::NoSuchRoute, "There is no such route.", "See /openapi.json for all routes.")
}

async fn method_not_allowed() -> ApiProblem {
    ApiProblem::new(
        ProblemCode::MethodNotAllowed,
        "The route does not take this method.",
        "See /openapi.json for the methods of each route.",
    )
}

/// The bearer token, compared in constant time.
async fn authorize(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some_and(|token| inner.token().admits(token)) {
        return next.run(request).await;
    }
    let problem = ApiProblem::new(
        ProblemCode::Unauthorized,
        "The request has no bearer token of this host.",
        "Send the header `Authorization: Bearer TOKEN` with the content of the file `token` in the host's data directory.",
    );
    let mut response = problem.into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"entente\""));
    response
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    value.strip_prefix(b"Bearer ")
}

async fn quick_limits(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    limited(&inner, inner.config().timeouts().request, request, next).await
}

async fn transfer_limits(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    limited(&inner, inner.config().timeouts().transfer, request, next).await
}

async fn limited(inner: &Inner, time: Duration, request: Request, next: Next) -> Response {
    let Ok(_permit) = inner.requests().try_acquire() else { return busy().into_response() };
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiProblem::new(
            ProblemCode::TooSlow,
            format!("The request took longer than {} seconds.", time.as_secs()),
            "Send it again; an upload goes on where it stopped.",
        )
        .into_response(),
    }
}

/// Requests that wait for events have a number of their own, so that they cannot shut out the others.
async fn wait_limits(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = inner.waiters().try_acquire() else { return busy().into_response() };
    next.run(request).await
}

fn busy() -> ApiProblem {
    ApiProblem::new(
        ProblemCode::Busy,
        "The host works on as many requests as it may.",
        "Send the request again in a second.",
    )
}

/// Answers of the framework itself are plain text; here every error is a [`crate::messages::Problem`].
async fn problems_as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !(status.is_client_error() || status.is_server_error()) || json {
        return response;
    }
    match status {
        StatusCode::NOT_FOUND => no_such_route().await.into_response(),
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed().await.into_response(),
        _ => {
            ApiProblem::malformed_path("The request is not of the form that the route takes.").into_response()
        }
    }
}

/// A digest in a path.
fn digest_in_path(text: &str) -> Answer<Digest384> {
    text.parse().map_err(|error| {
        ApiProblem::malformed_path(format!(
            "An identity in the path is not 96 lower-case hex digits: {error}."
        ))
    })
}

/// A run's id in a path.
fn run_in_path(text: &str) -> Answer<RunId> {
    text.parse().map_err(|error| ApiProblem::malformed_path(format!("A part of the path is wrong: {error}.")))
}

/// Reads a whole body of at most `limit` bytes.
async fn read_body(body: Body, limit: u64) -> Answer<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| cut_short())?;
        if length(&bytes).saturating_add(length(&piece)) > limit {
            return Err(ApiProblem::body_too_large(limit));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn cut_short() -> ApiProblem {
    ApiProblem::new(ProblemCode::MalformedBody, "The body ended early.", "Send it again.")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Reads a JSON body.
async fn read_json<T: serde::de::DeserializeOwned>(body: Body) -> Answer<T> {
    let bytes = read_body(body, JSON_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiProblem::new(
            ProblemCode::MalformedBody,
            format!("The body is not the JSON that the route takes: {error}."),
            "See /openapi.json for the form of the body.",
        )
    })
}

/// The bytes must have the digest under which they are to be stored: what was cut or garbled on the way is refused.
fn same_digest(bytes: &[u8], expected: Digest384) -> Answer<()> {
    let found = Digest384::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ApiProblem::new(
        ProblemCode::DigestMismatch,
        format!("The bytes have the SHA-384 {found}, the path names {expected}."),
        "Compute `sha384sum` of the file again and send the file unchanged.",
    ))
}

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Only entries after this one: the last digest of the page before.
    #[param(required = false)]
    after: Option<String>,
    /// At most this many, 1 to 1,000; 100 if not given.
    #[param(required = false)]
    limit: Option<usize>,
}

impl Page {
    /// The digests of this page.
    fn of(&self, all: Vec<Digest384>) -> Answer<Vec<Digest384>> {
        let after = self.after.as_deref().map(digest_in_path).transpose()?;
        let limit = limit_of(self.limit)?;
        Ok(all.into_iter().filter(|digest| after.is_none_or(|after| *digest > after)).take(limit).collect())
    }
}

fn limit_of(limit: Option<usize>) -> Answer<usize> {
    match limit.unwrap_or(100) {
        limit @ 1..=LIST => Ok(limit),
        _ => Err(ApiProblem::malformed_path("The query's limit is not between 1 and 1,000.")),
    }
}

/// Works with the data directory, away from the threads that serve connections.
async fn with_store<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Store) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let inner = inner.clone();
    match tokio::task::spawn_blocking(move || work(inner.store())).await {
        Ok(answer) => answer,
        Err(error) => Err(StoreError::Io(std::io::Error::other(error)).into()),
    }
}

/// An answer of bytes as they are stored.
fn bytes_answer(kind: &'static str, bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind)], Bytes::from(bytes)).into_response()
}
