//! Upload of sealed files: a list of chunk digests that the manifest commits to, then the chunks in any order, each
//! verified on arrival. An upload that was cut goes on with the chunks that are missing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use entente_attestation::Digest384;

use super::openapi::Octets;
use super::{Answer, ApiProblem, bytes_answer, digest_in_path, length, read_body, same_digest, with_store};
use crate::host::Inner;
use crate::messages::{MissingChunks, Problem, ProblemCode, Stored};
use crate::objects;
use crate::store::{CHUNK_BYTES, DIGEST_BYTES};

fn unknown_list() -> ApiProblem {
    ApiProblem::new(
        ProblemCode::UnknownChunk,
        "There is no chunk list of this manifest here.",
        "Upload the list of chunk digests first.",
    )
}

/// Store the list of chunk digests of a sealed file: the SHA-384 of each 1 MiB piece, 48 bytes each, in order. The
/// SHA-384 of the list must be the manifest's `chunks`. The manifest must be signed.
#[utoipa::path(put, path = "/v1/manifests/{manifest}/chunks", tag = "sealed files",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    request_body(content = Octets, content_type = "application/octet-stream"),
    responses((status = 200, body = MissingChunks), (status = "default", body = Problem)))]
pub(super) async fn put_chunk_list(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
    body: Body,
) -> Answer<Json<MissingChunks>> {
    let digest = digest_in_path(&manifest)?;
    let most = inner.config().limits().sealed_bytes.div_ceil(CHUNK_BYTES) * 48;
    let list = read_body(body, most).await?;
    with_store(&inner, move |store| {
        let Some(manifest) = objects::manifest(store, digest)? else {
            return Err(ApiProblem::unknown(ProblemCode::UnknownManifest, "manifest of this digest"));
        };
        if store.signature(&digest, manifest.owner().as_str())?.is_none() {
            return Err(ApiProblem::new(
                ProblemCode::ManifestUnsigned,
                format!("The manifest has no signature of {} yet.", manifest.owner()),
                "Upload the signature first.",
            ));
        }
        same_digest(&list, manifest.chunks())?;
        if length(&list) != manifest.size().div_ceil(CHUNK_BYTES) * 48 {
            return Err(ApiProblem::new(
                ProblemCode::ObjectRefused,
                format!(
                    "{} digests do not fit a file of {} bytes.",
                    list.len() / DIGEST_BYTES,
                    manifest.size()
                ),
                "Make the manifest again from the sealed file.",
            ));
        }
        store.put_chunk_list(&digest, manifest.size(), &list)?;
        store.missing_chunks(&digest)?.map(Json).ok_or_else(unknown_list)
    })
    .await
}

/// The list of chunk digests.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/chunks", tag = "sealed files",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 200, content_type = "application/octet-stream", body = Octets), (status = "default", body = Problem)))]
pub(super) async fn chunk_list(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| {
        let list = store.chunk_list(&digest)?.ok_or_else(unknown_list)?;
        Ok(bytes_answer("application/octet-stream", list))
    })
    .await
}

/// Remove the sealed file: its chunks and their list. The manifest stays.
#[utoipa::path(delete, path = "/v1/manifests/{manifest}/chunks", tag = "sealed files",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn remove(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<StatusCode> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| {
        if store.chunk_list(&digest)?.is_none() {
            return Err(unknown_list());
        }
        store.remove_sealed(&digest, |run| {
            let inputs = objects::inputs(store, run.facts.run.inputs)?;
            Ok(inputs
                .is_some_and(|inputs| inputs.datasets().iter().any(|entry| entry.manifest() == Some(digest))))
        })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Store a chunk: 1 MiB, the last one possibly less. Storing the same again changes nothing.
#[utoipa::path(put, path = "/v1/manifests/{manifest}/chunks/{number}", tag = "sealed files",
    params(("manifest" = String, Path, description = "Digest of the manifest"),
        ("number" = u32, Path, description = "Number of the chunk, from 0")),
    request_body(content = Octets, content_type = "application/octet-stream"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_chunk(
    State(inner): State<Arc<Inner>>,
    Path((manifest, number)): Path<(String, String)>,
    body: Body,
) -> Answer<Json<Stored>> {
    let digest = digest_in_path(&manifest)?;
    let number: u32 =
        number.parse().map_err(|_| ApiProblem::malformed_path("A chunk's number is an integer from 0."))?;
    let bytes = read_body(body, CHUNK_BYTES).await?;
    with_store(&inner, move |store| {
        let expected: Digest384 = store.chunk_digest(&digest, number)?.ok_or_else(|| {
            ApiProblem::new(
                ProblemCode::UnknownChunk,
                format!("The sealed file has no chunk {number}, or its chunk list is not here."),
                "Upload the list of chunk digests first; chunks are numbered from 0.",
            )
        })?;
        same_digest(&bytes, expected)?;
        store.put_chunk(&digest, number, &bytes)?;
        Ok(Json(Stored { digest: expected }))
    })
    .await
}

/// Which chunks are missing: upload these to go on. When none is, the sealed file is complete.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/missing", tag = "sealed files",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 200, body = MissingChunks), (status = "default", body = Problem)))]
pub(super) async fn missing(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<Json<MissingChunks>> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| store.missing_chunks(&digest)?.map(Json).ok_or_else(unknown_list)).await
}
