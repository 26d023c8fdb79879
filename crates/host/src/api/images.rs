//! Routes of enclave images. An image is measured when it arrives and kept under its PCR0.

use std::io::Write;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use entente_attestation::Digest384;
use entente_image::Eif;
use futures_util::StreamExt;

use super::openapi::Octets;
use super::{Answer, ApiProblem, cut_short, digest_in_path, length, with_store};
use crate::host::Inner;
use crate::messages::{ImageFacts, ImageList, Problem, ProblemCode};
use crate::store::StoreError;
use crate::store::files::Pending;

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

fn unknown_image() -> ApiProblem {
    ApiProblem::unknown(ProblemCode::UnknownImage, "image of this PCR0")
}

/// Images that are stored, by PCR0.
#[utoipa::path(get, path = "/v1/images", tag = "images",
    responses((status = 200, body = ImageList), (status = "default", body = Problem)))]
pub(super) async fn list(State(inner): State<Arc<Inner>>) -> Answer<Json<ImageList>> {
    with_store(&inner, |store| Ok(Json(ImageList { images: store.images()? }))).await
}

/// An image's measurements.
#[utoipa::path(get, path = "/v1/images/{pcr0}", tag = "images",
    params(("pcr0" = String, Path, description = "PCR0 of the image")),
    responses((status = 200, body = ImageFacts), (status = "default", body = Problem)))]
pub(super) async fn facts(
    State(inner): State<Arc<Inner>>,
    Path(pcr0): Path<String>,
) -> Answer<Json<ImageFacts>> {
    let pcr0 = digest_in_path(&pcr0)?;
    with_store(&inner, move |store| store.image(&pcr0)?.map(Json).ok_or_else(unknown_image)).await
}

/// Store an image: the bytes of the EIF. It must measure to the PCR0 in the path.
#[utoipa::path(put, path = "/v1/images/{pcr0}", tag = "images",
    params(("pcr0" = String, Path, description = "PCR0 of the image, 96 lower-case hex digits")),
    request_body(content = Octets, content_type = "application/octet-stream"),
    responses((status = 200, body = ImageFacts), (status = "default", body = Problem)))]
pub(super) async fn put(
    State(inner): State<Arc<Inner>>,
    Path(pcr0): Path<String>,
    body: Body,
) -> Answer<Json<ImageFacts>> {
    let pcr0 = digest_in_path(&pcr0)?;
    let limit = inner.config().limits().image_bytes;
    let mut file =
        with_store(&inner, |store| Ok(Pending::new(store.scratch()).map_err(StoreError::from)?)).await?;
    let mut gathered = Vec::new();
    let mut pieces = body.into_data_stream();
    loop {
        let piece = pieces.next().await.transpose().map_err(|_| cut_short())?;
        if let Some(piece) = &piece {
            if file.bytes().saturating_add(length(&gathered)).saturating_add(length(piece)) > limit {
                return Err(ApiProblem::body_too_large(limit));
            }
            gathered.extend_from_slice(piece);
        }
        if gathered.len() >= WRITE_BYTES || piece.is_none() {
            let bytes = std::mem::take(&mut gathered);
            file = with_store(&inner, move |_| {
                file.write_all(&bytes).map_err(StoreError::from)?;
                Ok(file)
            })
            .await?;
        }
        if piece.is_none() {
            break;
        }
    }
    // One at a time: an image is measured in memory.
    let Ok(_permit) = inner.measuring().acquire().await else { return Err(super::busy()) };
    with_store(&inner, move |store| {
        let bytes = std::fs::read(file.path()).map_err(StoreError::from)?;
        let facts = measure(&bytes, pcr0)?;
        drop(bytes);
        store.put_image(&facts, file)?;
        Ok(Json(facts))
    })
    .await
}

fn measure(bytes: &[u8], pcr0: Digest384) -> Answer<ImageFacts> {
    let refused = |message: String| {
        ApiProblem::new(
            ProblemCode::ImageRefused,
            message,
            "Upload the unchanged file that `entente image build` made.",
        )
    };
    let image =
        Eif::parse(bytes).map_err(|error| refused(format!("The file is no enclave image: {error}.")))?;
    let measured = image.measure();
    if *measured.pcr0() != pcr0 {
        return Err(refused(format!("The image has PCR0 {}, the path names {pcr0}.", measured.pcr0())));
    }
    Ok(ImageFacts { pcr0, pcr1: *measured.pcr1(), pcr2: *measured.pcr2(), bytes: length(bytes) })
}

/// The bytes of an image.
#[utoipa::path(get, path = "/v1/images/{pcr0}/eif", tag = "images",
    params(("pcr0" = String, Path, description = "PCR0 of the image")),
    responses((status = 200, content_type = "application/octet-stream", body = Octets), (status = "default", body = Problem)))]
pub(super) async fn file(State(inner): State<Arc<Inner>>, Path(pcr0): Path<String>) -> Answer<Response> {
    let pcr0 = digest_in_path(&pcr0)?;
    let path = with_store(&inner, move |store| match store.image(&pcr0)? {
        Some(_) => Ok(store.image_path(&pcr0)),
        None => Err(unknown_image()),
    })
    .await?;
    file_answer(&path, "application/octet-stream").await
}

/// Remove an image.
#[utoipa::path(delete, path = "/v1/images/{pcr0}", tag = "images",
    params(("pcr0" = String, Path, description = "PCR0 of the image")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn remove(State(inner): State<Arc<Inner>>, Path(pcr0): Path<String>) -> Answer<StatusCode> {
    let pcr0 = digest_in_path(&pcr0)?;
    with_store(&inner, move |store| match store.remove_image(&pcr0) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(StoreError::Missing) => Err(unknown_image()),
        Err(error) => Err(error.into()),
    })
    .await
}

/// An answer that streams a stored file.
pub(super) async fn file_answer(path: &std::path::Path, kind: &'static str) -> Answer<Response> {
    let file = tokio::fs::File::open(path).await.map_err(StoreError::from)?;
    let size = file.metadata().await.map_err(StoreError::from)?.len();
    let body = Body::from_stream(tokio_util::io::ReaderStream::with_capacity(file, 64 * 1024));
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, size.to_string())], body)
        .into_response())
}
