//! Problems as answers: a status, a stable code, a sentence, and what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::messages::{Problem, ProblemCode};
use crate::store::StoreError;

/// What a route answers when it does not do what was asked.
#[derive(Debug)]
pub(crate) struct ApiProblem(Box<Problem>);

impl ApiProblem {
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self(Box::new(Problem { code, message: message.into(), action: action.into() }))
    }

    pub(crate) fn malformed_path(message: impl Into<String>) -> Self {
        Self::new(ProblemCode::MalformedPath, message, "See /openapi.json for the form of paths and queries.")
    }

    pub(crate) fn body_too_large(limit: u64) -> Self {
        Self::new(
            ProblemCode::BodyTooLarge,
            format!("The body is longer than {limit} bytes."),
            "Send less, or have the platform owner raise the limit if it is a configured one.",
        )
    }

    pub(crate) fn unknown(code: ProblemCode, what: &str) -> Self {
        Self::new(code, format!("There is no {what} here."), "Check the identity, or upload it first.")
    }
}

/// The status that goes with a code; each code has one.
pub(crate) fn status_of(code: ProblemCode) -> StatusCode {
    use ProblemCode as C;
    match code {
        C::Unauthorized => StatusCode::UNAUTHORIZED,
        C::NoSuchRoute
        | C::UnknownAgreement
        | C::UnknownParty
        | C::UnknownSignature
        | C::UnknownImage
        | C::UnknownManifest
        | C::UnknownInputs
        | C::UnknownRequest
        | C::UnknownRun
        | C::UnknownResult
        | C::UnknownChunk => StatusCode::NOT_FOUND,
        C::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        C::MalformedPath | C::MalformedBody => StatusCode::BAD_REQUEST,
        C::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        C::TooSlow => StatusCode::REQUEST_TIMEOUT,
        C::Busy => StatusCode::SERVICE_UNAVAILABLE,
        C::DigestMismatch | C::ObjectRefused | C::SignatureRefused | C::ImageRefused => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        C::MissingReference | C::ManifestUnsigned | C::RunState | C::RunIncomplete | C::InUse => {
            StatusCode::CONFLICT
        }
        C::LimitReached => StatusCode::INSUFFICIENT_STORAGE,
        C::Storage => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        (status_of(self.0.code), Json(*self.0)).into_response()
    }
}

impl From<StoreError> for ApiProblem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Limit { what, limit } => Self::new(
                ProblemCode::LimitReached,
                format!("A limit is reached: {what}, at most {limit}."),
                "Remove what is no longer needed, or have the platform owner raise the limit.",
            ),
            StoreError::InUse => Self::new(
                ProblemCode::InUse,
                "A run that has not ended needs it.",
                "Wait for the run to end, or stop it.",
            ),
            StoreError::Missing => {
                Self::new(ProblemCode::MissingReference, "It was removed meanwhile.", "Upload it again.")
            }
            error @ (StoreError::Io(_) | StoreError::Database(_) | StoreError::Record(_)) => {
                // Paths and database details are the platform owner's business, not the client's.
                tracing::error!(%error, "the data directory failed");
                Self::new(
                    ProblemCode::Storage,
                    "The host's data directory failed.",
                    "Ask the platform owner to read the host's log, then try again.",
                )
            }
        }
    }
}
