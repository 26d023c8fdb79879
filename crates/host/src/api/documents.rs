//! Routes of agreements, manifests, input sets and requests, and of the signatures on them.
//!
//! The host verifies what it stores so that a mistake shows at once, where it was made. Nobody relies on that: enclave,
//! owners and verifiers check everything again.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use entente_agreement::{Agreement, InputSet, Manifest, Name, Namespace, Request, check_set, check_slot};
use entente_attestation::Digest384;

use super::{
    Answer, ApiProblem, OBJECT_BYTES, Page, SIGNATURE_BYTES, bytes_answer, digest_in_path, read_body,
    same_digest, with_store,
};
use crate::host::Inner;
use crate::messages::{
    AgreementFacts, AgreementList, ImageState, InputState, InputsFacts, InputsList, ManifestFacts,
    ManifestList, Problem, ProblemCode, RequestFacts, RequestList, SignatureState, Stored,
};
use crate::objects;
use crate::store::{CHUNK_BYTES, Kind, Store};

const TEXT: &str = "text/plain; charset=us-ascii";

type Saved = (StatusCode, Json<Stored>);

fn saved(digest: Digest384) -> Saved {
    (StatusCode::OK, Json(Stored { digest }))
}

fn refused(error: impl std::fmt::Display) -> ApiProblem {
    ApiProblem::new(ProblemCode::ObjectRefused, format!("{error}."), "Correct the file, or make it again.")
}

fn missing_reference(what: &str) -> ApiProblem {
    ApiProblem::new(
        ProblemCode::MissingReference,
        format!("It refers to {what}, which is not stored here."),
        "Upload that first.",
    )
}

fn party_in(agreement: &Agreement, text: &str) -> Answer<Name> {
    let name: Name = text.parse().map_err(|error| ApiProblem::malformed_path(format!("{error}.")))?;
    match agreement.party(&name) {
        Some(party) => Ok(party.name().clone()),
        None => {
            Err(ApiProblem::unknown(ProblemCode::UnknownParty, &format!("party {name} in the agreement")))
        }
    }
}

fn verify(
    agreement: &Agreement,
    party: &Name,
    namespace: Namespace,
    message: &[u8],
    armored: &[u8],
) -> Answer<()> {
    let Some(party) = agreement.party(party) else {
        return Err(ApiProblem::unknown(
            ProblemCode::UnknownParty,
            &format!("party {party} in the agreement"),
        ));
    };
    party.sign_key().verify(namespace, message, armored).map_err(|error| {
        ApiProblem::new(
            ProblemCode::SignatureRefused,
            format!("The signature does not count for {}: {error}.", party.name()),
            format!(
                "Sign the exact file with the key that the agreement names for {}, namespace {}.",
                party.name(),
                namespace.as_str()
            ),
        )
    })
}

fn agreement_of(store: &Store, digest: Digest384) -> Answer<Agreement> {
    objects::agreement(store, digest)?
        .ok_or_else(|| ApiProblem::unknown(ProblemCode::UnknownAgreement, "agreement of this digest"))
}

fn manifest_of(store: &Store, digest: Digest384) -> Answer<(Manifest, Agreement)> {
    let manifest = objects::manifest(store, digest)?
        .ok_or_else(|| ApiProblem::unknown(ProblemCode::UnknownManifest, "manifest of this digest"))?;
    let agreement = agreement_of(store, manifest.agreement())?;
    Ok((manifest, agreement))
}

fn inputs_of(store: &Store, digest: Digest384) -> Answer<(InputSet, Agreement)> {
    let inputs = objects::inputs(store, digest)?
        .ok_or_else(|| ApiProblem::unknown(ProblemCode::UnknownInputs, "input set of this digest"))?;
    let agreement = agreement_of(store, inputs.agreement())?;
    Ok((inputs, agreement))
}

fn request_of(store: &Store, digest: Digest384) -> Answer<(Request, Agreement)> {
    let request = objects::request(store, digest)?
        .ok_or_else(|| ApiProblem::unknown(ProblemCode::UnknownRequest, "request of this digest"))?;
    let agreement = agreement_of(store, request.agreement())?;
    Ok((request, agreement))
}

fn signature(store: &Store, object: Digest384, party: &Name) -> Answer<Response> {
    match store.signature(&object, party.as_str())? {
        Some(armored) => Ok(bytes_answer(TEXT, armored)),
        None => Err(ApiProblem::unknown(ProblemCode::UnknownSignature, &format!("signature of {party}"))),
    }
}

fn states(
    store: &Store,
    object: Digest384,
    parties: impl IntoIterator<Item = Name>,
) -> Answer<Vec<SignatureState>> {
    let state = |party: Name| {
        let present = store.signature(&object, party.as_str())?.is_some();
        Ok(SignatureState { party: party.as_str().to_owned(), present })
    };
    parties.into_iter().map(state).collect()
}

// ---- agreements ----

fn facts_of_agreement(store: &Store, agreement: &Agreement) -> Answer<AgreementFacts> {
    let names = |names: Vec<&Name>| names.into_iter().map(|name| name.as_str().to_owned()).collect();
    let parties = agreement.parties().iter().map(|party| party.name().clone());
    let mut images = Vec::new();
    for image in agreement.images() {
        let pcr0 = *image.measurements().pcr0();
        images.push(ImageState {
            name: image.name().as_str().to_owned(),
            pcr0,
            present: store.image(&pcr0)?.is_some(),
        });
    }
    Ok(AgreementFacts {
        digest: agreement.digest(),
        serial: agreement.serial().to_string(),
        not_before: agreement.window().not_before().to_string(),
        not_after: agreement.window().not_after().to_string(),
        analyses: names(agreement.analyses().iter().map(|analysis| analysis.name()).collect()),
        datasets: names(agreement.datasets().iter().map(|dataset| dataset.name()).collect()),
        approvals: states(store, agreement.digest(), parties)?,
        images,
    })
}

/// Agreements that are stored, by digest.
#[utoipa::path(get, path = "/v1/agreements", tag = "agreements", params(Page),
    responses((status = 200, body = AgreementList), (status = "default", body = Problem)))]
pub(super) async fn list_agreements(
    State(inner): State<Arc<Inner>>,
    Query(page): Query<Page>,
) -> Answer<Json<AgreementList>> {
    with_store(&inner, move |store| {
        let facts = |digest| facts_of_agreement(store, &agreement_of(store, digest)?);
        let agreements = page.of(store.agreements()?)?.into_iter().map(facts).collect::<Answer<_>>()?;
        Ok(Json(AgreementList { agreements }))
    })
    .await
}

/// Store an agreement: the exact bytes of the file, under their SHA-384.
#[utoipa::path(put, path = "/v1/agreements/{agreement}", tag = "agreements",
    params(("agreement" = String, Path, description = "SHA-384 of the file, 96 lower-case hex digits")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_agreement(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&agreement)?;
    let bytes = read_body(body, OBJECT_BYTES).await?;
    with_store(&inner, move |store| {
        same_digest(&bytes, digest)?;
        Agreement::parse(&bytes).map_err(refused)?;
        store.put_object(Kind::Agreement, &digest, &digest, &bytes)?;
        Ok(saved(digest))
    })
    .await
}

/// An agreement, who approved it, and which of its images are stored.
#[utoipa::path(get, path = "/v1/agreements/{agreement}", tag = "agreements",
    params(("agreement" = String, Path, description = "Digest of the agreement")),
    responses((status = 200, body = AgreementFacts), (status = "default", body = Problem)))]
pub(super) async fn agreement_facts(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
) -> Answer<Json<AgreementFacts>> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| Ok(Json(facts_of_agreement(store, &agreement_of(store, digest)?)?))).await
}

/// The exact bytes of an agreement.
#[utoipa::path(get, path = "/v1/agreements/{agreement}/text", tag = "agreements",
    params(("agreement" = String, Path, description = "Digest of the agreement")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn agreement_text(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| Ok(bytes_answer(TEXT, agreement_of(store, digest)?.bytes().to_vec())))
        .await
}

/// Store a party's approval: an armored SSH signature over the agreement, namespace `entente-agreement`.
#[utoipa::path(put, path = "/v1/agreements/{agreement}/approvals/{party}", tag = "agreements",
    params(("agreement" = String, Path, description = "Digest of the agreement"),
        ("party" = String, Path, description = "Name of the party")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_approval(
    State(inner): State<Arc<Inner>>,
    Path((agreement, party)): Path<(String, String)>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&agreement)?;
    let armored = read_body(body, SIGNATURE_BYTES).await?;
    with_store(&inner, move |store| {
        let agreement = agreement_of(store, digest)?;
        let party = party_in(&agreement, &party)?;
        verify(&agreement, &party, Namespace::Agreement, agreement.bytes(), &armored)?;
        store.put_signature(&digest, party.as_str(), &armored)?;
        Ok(saved(Digest384::of(&armored)))
    })
    .await
}

/// A party's approval.
#[utoipa::path(get, path = "/v1/agreements/{agreement}/approvals/{party}", tag = "agreements",
    params(("agreement" = String, Path, description = "Digest of the agreement"),
        ("party" = String, Path, description = "Name of the party")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn approval(
    State(inner): State<Arc<Inner>>,
    Path((agreement, party)): Path<(String, String)>,
) -> Answer<Response> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| {
        let party = party_in(&agreement_of(store, digest)?, &party)?;
        signature(store, digest, &party)
    })
    .await
}

// ---- manifests ----

fn facts_of_manifest(store: &Store, manifest: &Manifest) -> Answer<ManifestFacts> {
    let digest = manifest.digest();
    Ok(ManifestFacts {
        digest,
        agreement: manifest.agreement(),
        dataset: manifest.dataset().as_str().to_owned(),
        owner: manifest.owner().as_str().to_owned(),
        bytes: manifest.size(),
        chunk_count: u32::try_from(manifest.size().div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX),
        signed: store.signature(&digest, manifest.owner().as_str())?.is_some(),
        listed: store.chunk_list(&digest)?.is_some(),
        complete: store.is_complete(&digest)?,
    })
}

/// Manifests of an agreement, by digest.
#[utoipa::path(get, path = "/v1/agreements/{agreement}/manifests", tag = "manifests",
    params(("agreement" = String, Path, description = "Digest of the agreement"), Page),
    responses((status = 200, body = ManifestList), (status = "default", body = Problem)))]
pub(super) async fn list_manifests(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Json<ManifestList>> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| {
        agreement_of(store, digest)?;
        let facts = |digest| facts_of_manifest(store, &manifest_of(store, digest)?.0);
        let digests = page.of(store.objects_of(Kind::Manifest, &digest)?)?;
        Ok(Json(ManifestList { manifests: digests.into_iter().map(facts).collect::<Answer<_>>()? }))
    })
    .await
}

/// Store a manifest: the exact bytes of the file, under their SHA-384. Its agreement must be stored.
#[utoipa::path(put, path = "/v1/manifests/{manifest}", tag = "manifests",
    params(("manifest" = String, Path, description = "SHA-384 of the file, 96 lower-case hex digits")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_manifest(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&manifest)?;
    let bytes = read_body(body, OBJECT_BYTES).await?;
    let limit = inner.config().limits().sealed_bytes;
    with_store(&inner, move |store| {
        same_digest(&bytes, digest)?;
        let manifest = Manifest::parse(&bytes).map_err(refused)?;
        let Some(agreement) = objects::agreement(store, manifest.agreement())? else {
            return Err(missing_reference(&format!("agreement {}", manifest.agreement())));
        };
        check_slot(&agreement, manifest.dataset(), &manifest).map_err(refused)?;
        if manifest.size() > limit {
            return Err(ApiProblem::new(
                ProblemCode::LimitReached,
                format!("The sealed file has {} bytes; this host keeps at most {limit}.", manifest.size()),
                "Have the platform owner raise the limit sealed_bytes.",
            ));
        }
        store.put_object(Kind::Manifest, &manifest.agreement(), &digest, &bytes)?;
        Ok(saved(digest))
    })
    .await
}

/// A manifest, and how much of its sealed file is here.
#[utoipa::path(get, path = "/v1/manifests/{manifest}", tag = "manifests",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 200, body = ManifestFacts), (status = "default", body = Problem)))]
pub(super) async fn manifest_facts(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<Json<ManifestFacts>> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| Ok(Json(facts_of_manifest(store, &manifest_of(store, digest)?.0)?))).await
}

/// The exact bytes of a manifest.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/text", tag = "manifests",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn manifest_text(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| Ok(bytes_answer(TEXT, manifest_of(store, digest)?.0.bytes().to_vec())))
        .await
}

/// Store the owner's signature on a manifest, namespace `entente-manifest`.
#[utoipa::path(put, path = "/v1/manifests/{manifest}/signature", tag = "manifests",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_manifest_signature(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&manifest)?;
    let armored = read_body(body, SIGNATURE_BYTES).await?;
    with_store(&inner, move |store| {
        let (manifest, agreement) = manifest_of(store, digest)?;
        verify(&agreement, manifest.owner(), Namespace::Manifest, manifest.bytes(), &armored)?;
        store.put_signature(&digest, manifest.owner().as_str(), &armored)?;
        Ok(saved(Digest384::of(&armored)))
    })
    .await
}

/// The owner's signature on a manifest.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/signature", tag = "manifests",
    params(("manifest" = String, Path, description = "Digest of the manifest")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn manifest_signature(
    State(inner): State<Arc<Inner>>,
    Path(manifest): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&manifest)?;
    with_store(&inner, move |store| signature(store, digest, manifest_of(store, digest)?.0.owner())).await
}

// ---- input sets ----

fn facts_of_inputs(store: &Store, inputs: &InputSet, agreement: &Agreement) -> Answer<InputsFacts> {
    let mut datasets = Vec::new();
    for entry in inputs.datasets() {
        let ready = match entry.manifest() {
            Some(manifest) => {
                store.object(Kind::Manifest, &manifest)?.is_some()
                    && store.signature(&manifest, entry.owner().as_str())?.is_some()
                    && store.is_complete(&manifest)?
            }
            None => true,
        };
        datasets.push(InputState {
            dataset: entry.name().as_str().to_owned(),
            owner: entry.owner().as_str().to_owned(),
            manifest: entry.manifest(),
            ready,
        });
    }
    let owners =
        agreement.analysis(inputs.analysis()).map(|analysis| agreement.owners(analysis)).unwrap_or_default();
    Ok(InputsFacts {
        digest: inputs.digest(),
        agreement: inputs.agreement(),
        analysis: inputs.analysis().as_str().to_owned(),
        round: inputs.round(),
        datasets,
        signatures: states(store, inputs.digest(), owners)?,
    })
}

/// Input sets of an agreement, by digest.
#[utoipa::path(get, path = "/v1/agreements/{agreement}/inputs", tag = "inputs",
    params(("agreement" = String, Path, description = "Digest of the agreement"), Page),
    responses((status = 200, body = InputsList), (status = "default", body = Problem)))]
pub(super) async fn list_inputs(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Json<InputsList>> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| {
        let agreement = agreement_of(store, digest)?;
        let facts = |digest| facts_of_inputs(store, &inputs_of(store, digest)?.0, &agreement);
        let digests = page.of(store.objects_of(Kind::Inputs, &digest)?)?;
        Ok(Json(InputsList { inputs: digests.into_iter().map(facts).collect::<Answer<_>>()? }))
    })
    .await
}

/// Store an input set: the exact bytes of the file, under their SHA-384. Its agreement must be stored.
#[utoipa::path(put, path = "/v1/inputs/{inputs}", tag = "inputs",
    params(("inputs" = String, Path, description = "SHA-384 of the file, 96 lower-case hex digits")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_inputs(
    State(inner): State<Arc<Inner>>,
    Path(inputs): Path<String>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&inputs)?;
    let bytes = read_body(body, OBJECT_BYTES).await?;
    with_store(&inner, move |store| {
        same_digest(&bytes, digest)?;
        let inputs = InputSet::parse(&bytes).map_err(refused)?;
        let Some(agreement) = objects::agreement(store, inputs.agreement())? else {
            return Err(missing_reference(&format!("agreement {}", inputs.agreement())));
        };
        let Some(analysis) = agreement.analysis(inputs.analysis()) else {
            return Err(refused(format!("The agreement has no analysis {}", inputs.analysis())));
        };
        check_set(&agreement, analysis, &inputs).map_err(refused)?;
        store.put_object(Kind::Inputs, &inputs.agreement(), &digest, &bytes)?;
        Ok(saved(digest))
    })
    .await
}

/// An input set, who signed it, and which of its sealed files are here.
#[utoipa::path(get, path = "/v1/inputs/{inputs}", tag = "inputs",
    params(("inputs" = String, Path, description = "Digest of the input set")),
    responses((status = 200, body = InputsFacts), (status = "default", body = Problem)))]
pub(super) async fn inputs_facts(
    State(inner): State<Arc<Inner>>,
    Path(inputs): Path<String>,
) -> Answer<Json<InputsFacts>> {
    let digest = digest_in_path(&inputs)?;
    with_store(&inner, move |store| {
        let (inputs, agreement) = inputs_of(store, digest)?;
        Ok(Json(facts_of_inputs(store, &inputs, &agreement)?))
    })
    .await
}

/// The exact bytes of an input set.
#[utoipa::path(get, path = "/v1/inputs/{inputs}/text", tag = "inputs",
    params(("inputs" = String, Path, description = "Digest of the input set")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn inputs_text(
    State(inner): State<Arc<Inner>>,
    Path(inputs): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&inputs)?;
    with_store(&inner, move |store| Ok(bytes_answer(TEXT, inputs_of(store, digest)?.0.bytes().to_vec())))
        .await
}

/// Store an owner's signature on an input set, namespace `entente-inputs`.
#[utoipa::path(put, path = "/v1/inputs/{inputs}/signatures/{party}", tag = "inputs",
    params(("inputs" = String, Path, description = "Digest of the input set"),
        ("party" = String, Path, description = "Name of the owner")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_inputs_signature(
    State(inner): State<Arc<Inner>>,
    Path((inputs, party)): Path<(String, String)>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&inputs)?;
    let armored = read_body(body, SIGNATURE_BYTES).await?;
    with_store(&inner, move |store| {
        let (inputs, agreement) = inputs_of(store, digest)?;
        let party = party_in(&agreement, &party)?;
        verify(&agreement, &party, Namespace::Inputs, inputs.bytes(), &armored)?;
        store.put_signature(&digest, party.as_str(), &armored)?;
        Ok(saved(Digest384::of(&armored)))
    })
    .await
}

/// An owner's signature on an input set.
#[utoipa::path(get, path = "/v1/inputs/{inputs}/signatures/{party}", tag = "inputs",
    params(("inputs" = String, Path, description = "Digest of the input set"),
        ("party" = String, Path, description = "Name of the owner")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn inputs_signature(
    State(inner): State<Arc<Inner>>,
    Path((inputs, party)): Path<(String, String)>,
) -> Answer<Response> {
    let digest = digest_in_path(&inputs)?;
    with_store(&inner, move |store| {
        let party = party_in(&inputs_of(store, digest)?.1, &party)?;
        signature(store, digest, &party)
    })
    .await
}

// ---- requests ----

fn facts_of_request(store: &Store, request: &Request, agreement: &Agreement) -> Answer<RequestFacts> {
    Ok(RequestFacts {
        digest: request.digest(),
        agreement: request.agreement(),
        inputs: request.inputs(),
        analysis: request.analysis().as_str().to_owned(),
        signatures: states(store, request.digest(), objects::request_signers(request, agreement))?,
    })
}

/// Requests of an agreement, by digest.
#[utoipa::path(get, path = "/v1/agreements/{agreement}/requests", tag = "requests",
    params(("agreement" = String, Path, description = "Digest of the agreement"), Page),
    responses((status = 200, body = RequestList), (status = "default", body = Problem)))]
pub(super) async fn list_requests(
    State(inner): State<Arc<Inner>>,
    Path(agreement): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Json<RequestList>> {
    let digest = digest_in_path(&agreement)?;
    with_store(&inner, move |store| {
        let agreement = agreement_of(store, digest)?;
        let facts = |digest| facts_of_request(store, &request_of(store, digest)?.0, &agreement);
        let digests = page.of(store.objects_of(Kind::Request, &digest)?)?;
        Ok(Json(RequestList { requests: digests.into_iter().map(facts).collect::<Answer<_>>()? }))
    })
    .await
}

/// Store a request: the exact bytes of the file, under their SHA-384. Its agreement must be stored.
#[utoipa::path(put, path = "/v1/requests/{request}", tag = "requests",
    params(("request" = String, Path, description = "SHA-384 of the file, 96 lower-case hex digits")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_request(
    State(inner): State<Arc<Inner>>,
    Path(request): Path<String>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&request)?;
    let bytes = read_body(body, OBJECT_BYTES).await?;
    with_store(&inner, move |store| {
        same_digest(&bytes, digest)?;
        let request = Request::parse(&bytes).map_err(refused)?;
        let Some(agreement) = objects::agreement(store, request.agreement())? else {
            return Err(missing_reference(&format!("agreement {}", request.agreement())));
        };
        match agreement.analysis(request.analysis()) {
            None => return Err(refused(format!("The agreement has no analysis {}", request.analysis()))),
            Some(analysis) if !analysis.runners().contains(request.runner()) => {
                return Err(refused(format!("{} may not run {}", request.runner(), analysis.name())));
            }
            Some(_) => {}
        }
        store.put_object(Kind::Request, &request.agreement(), &digest, &bytes)?;
        Ok(saved(digest))
    })
    .await
}

/// A request, and who signed it.
#[utoipa::path(get, path = "/v1/requests/{request}", tag = "requests",
    params(("request" = String, Path, description = "Digest of the request")),
    responses((status = 200, body = RequestFacts), (status = "default", body = Problem)))]
pub(super) async fn request_facts(
    State(inner): State<Arc<Inner>>,
    Path(request): Path<String>,
) -> Answer<Json<RequestFacts>> {
    let digest = digest_in_path(&request)?;
    with_store(&inner, move |store| {
        let (request, agreement) = request_of(store, digest)?;
        Ok(Json(facts_of_request(store, &request, &agreement)?))
    })
    .await
}

/// The exact bytes of a request.
#[utoipa::path(get, path = "/v1/requests/{request}/text", tag = "requests",
    params(("request" = String, Path, description = "Digest of the request")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn request_text(
    State(inner): State<Arc<Inner>>,
    Path(request): Path<String>,
) -> Answer<Response> {
    let digest = digest_in_path(&request)?;
    with_store(&inner, move |store| Ok(bytes_answer(TEXT, request_of(store, digest)?.0.bytes().to_vec())))
        .await
}

/// Store a signature on a request, namespace `entente-request`.
#[utoipa::path(put, path = "/v1/requests/{request}/signatures/{party}", tag = "requests",
    params(("request" = String, Path, description = "Digest of the request"),
        ("party" = String, Path, description = "Name of the party")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = Stored), (status = "default", body = Problem)))]
pub(super) async fn put_request_signature(
    State(inner): State<Arc<Inner>>,
    Path((request, party)): Path<(String, String)>,
    body: Body,
) -> Answer<Saved> {
    let digest = digest_in_path(&request)?;
    let armored = read_body(body, SIGNATURE_BYTES).await?;
    with_store(&inner, move |store| {
        let (request, agreement) = request_of(store, digest)?;
        let party = party_in(&agreement, &party)?;
        verify(&agreement, &party, Namespace::Request, request.bytes(), &armored)?;
        store.put_signature(&digest, party.as_str(), &armored)?;
        Ok(saved(Digest384::of(&armored)))
    })
    .await
}

/// A party's signature on a request.
#[utoipa::path(get, path = "/v1/requests/{request}/signatures/{party}", tag = "requests",
    params(("request" = String, Path, description = "Digest of the request"),
        ("party" = String, Path, description = "Name of the party")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = Problem)))]
pub(super) async fn request_signature(
    State(inner): State<Arc<Inner>>,
    Path((request, party)): Path<(String, String)>,
) -> Answer<Response> {
    let digest = digest_in_path(&request)?;
    with_store(&inner, move |store| {
        let party = party_in(&request_of(store, digest)?.1, &party)?;
        signature(store, digest, &party)
    })
    .await
}
