//! The API's description, OpenAPI 3.1, made from the routes' own declarations.

use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{documents, images, results, runs, sealed};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Entente host",
        description = "Stores ciphertext, starts enclaves, relays bytes. It is trusted for availability only: whatever it \
            says is checked by enclaves, owners and verifiers. Every route but /healthz and /openapi.json wants the bearer \
            token. Every error is a Problem."
    ),
    servers((url = "http://127.0.0.1:7080")),
    security(("token" = [])),
    modifiers(&Token),
    paths(
        super::health,
        documents::list_agreements,
        documents::put_agreement,
        documents::agreement_facts,
        documents::agreement_text,
        documents::put_approval,
        documents::approval,
        documents::list_manifests,
        documents::list_inputs,
        documents::list_requests,
        documents::put_manifest,
        documents::manifest_facts,
        documents::manifest_text,
        documents::put_manifest_signature,
        documents::manifest_signature,
        sealed::put_chunk_list,
        sealed::chunk_list,
        sealed::remove,
        sealed::put_chunk,
        sealed::missing,
        documents::put_inputs,
        documents::inputs_facts,
        documents::inputs_text,
        documents::put_inputs_signature,
        documents::inputs_signature,
        documents::put_request,
        documents::request_facts,
        documents::request_text,
        documents::put_request_signature,
        documents::request_signature,
        images::list,
        images::put,
        images::facts,
        images::file,
        images::remove,
        runs::create,
        runs::list,
        runs::facts,
        runs::start,
        runs::stop,
        runs::remove,
        runs::events,
        results::list,
        results::file,
        results::receipt,
    )
)]
struct Description;

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it stands for a body in the description; the body itself is a stream")]
pub(super) struct Octets(Vec<u8>);

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The description.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
