//! HTTP: `POST /` in, JSON 1.1 out, everything bounded.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use entente_release::policy::Transport;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::error::KmsError;
use crate::service::{Incoming, Service};
use crate::sigv4::Header;
use crate::store::random;

/// Bytes in a request's body: the largest member is an attestation document of 262,144 bytes, in base64, beside a blob of 6,144.
const MAX_BODY: usize = 512 * 1024;

/// Requests that are worked on at a time; the others wait. Verifying a document takes milliseconds of a core.
const MAX_PARALLEL: usize = 64;

/// For reading a body, waiting for a turn and answering.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Shared {
    service: Arc<Service>,
    turns: Semaphore,
}

/// Answers requests on `listener` until `shutdown` completes; requests that have begun are finished.
///
/// Plain HTTP: keep it on a loopback address.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let shared = Arc::new(Shared { service, turns: Semaphore::new(MAX_PARALLEL) });
    let app = Router::new().fallback(handle).with_state(shared);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown)
        .await
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let id = request_id();
    let outcome = tokio::time::timeout(TIMEOUT, answer(&shared, peer, &id, request)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(KmsError::new("RequestTimeoutException", "")));
    match outcome {
        Ok(body) => respond(StatusCode::OK, &id, body),
        Err(error) => {
            tracing::info!(request = %id, exception = error.exception(), "refused");
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            respond(status, &id, error.body())
        }
    }
}

async fn answer(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    id: &str,
    request: Request,
) -> Result<Vec<u8>, KmsError> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST || parts.uri.path() != "/" || parts.uri.query().is_some() {
        return Err(KmsError::unknown_operation());
    }
    let json =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "application/x-amz-json-1.1");
    if !json {
        return Err(KmsError::unknown_operation());
    }
    let headers = headers(&parts.headers)?;
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        KmsError::new("RequestEntityTooLargeException", "The request is larger than 524288 bytes.")
    })?;
    let _turn = shared.turns.acquire().await.map_err(KmsError::internal)?;
    let (service, id) = (Arc::clone(&shared.service), id.to_owned());
    tokio::task::spawn_blocking(move || {
        service.answer(&Incoming {
            id: &id,
            headers: &headers,
            body: &body,
            source: peer.ip(),
            transport: Transport::Plain,
        })
    })
    .await
    .map_err(KmsError::internal)?
}

fn headers(map: &HeaderMap) -> Result<Vec<Header>, KmsError> {
    map.iter()
        .map(|(name, value)| {
            let value = value.to_str().map_err(|_| {
                KmsError::new("IncompleteSignatureException", format!("The header {name} is not ASCII."))
            })?;
            Ok(Header::new(name.as_str(), value))
        })
        .collect()
}

fn request_id() -> String {
    random::<16>().map(hex::encode).unwrap_or_default()
}

fn respond(status: StatusCode, id: &str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate, private"),
    );
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
