//! Why a life ends early: exact inside, one of six codes outside.

use entente_agreement::{ApprovalError, InputsError, TextError};
use entente_analysis::ParameterError;
use entente_attestation::PcrIndex;
use entente_channel::ErrorCode;
use entente_nsm::NsmError;

use crate::evidence::EvidenceError;
use crate::host::NoAnswer;

/// Why a life ended before its results were out.
///
/// # Security
/// For tests and for whoever debugs an image of its own: of all this only [`Refusal::code`] ever leaves an enclave. Everything up to
/// [`Refusal::Key`] concerns public things; from there on a variant says what the code says and no more, so that nothing
/// computed from a secret can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host gave no documents.
    #[error("no documents: {0}")]
    Documents(NoAnswer),
    /// The agreement is not one.
    #[error("agreement: {0}")]
    Agreement(TextError),
    /// The list of approvals is not one.
    #[error("approvals: {0}")]
    ApprovalList(ListFault),
    /// An approval is missing, wrong or too many.
    #[error("approvals: {0}")]
    Approvals(ApprovalError),
    /// The agreement has no analysis of the name that the host gave.
    #[error("no such analysis")]
    UnknownAnalysis,
    /// The analysis does not accept its parameters.
    #[error("analysis: {0}")]
    Parameters(ParameterError),
    /// Less memory than agreed.
    #[error("{available_mib} MiB of memory are available, {needed_mib} are agreed")]
    Memory {
        /// `memory_mib` of the analysis.
        needed_mib: u64,
        /// What was measured at the start.
        available_mib: u64,
    },

    /// The analysis is of another kind than the one compiled in.
    #[error("the analysis is not of the kind {compiled_in}, which is compiled in")]
    OtherProgram {
        /// What is compiled in.
        compiled_in: &'static str,
    },
    /// The NSM gave no usable answer.
    #[error("NSM: {0}")]
    Nsm(#[from] NsmError),
    /// The enclave's own document does not hold.
    #[error("attestation: {0}")]
    Evidence(#[from] EvidenceError),
    /// A register is not as it must be.
    #[error("{index}: {at}")]
    Register {
        /// The register.
        index: PcrIndex,
        /// What is wrong.
        at: Register,
    },

    /// The input set is not one.
    #[error("input set: {0}")]
    InputSet(TextError),
    /// A list of signatures is not one.
    #[error("signatures: {0}")]
    SignatureList(ListFault),
    /// The list of manifests is not one.
    #[error("manifests: {0}")]
    ManifestList(ListFault),
    /// A manifest is not one.
    #[error("manifest: {0}")]
    Manifest(TextError),
    /// The request is not one.
    #[error("request: {0}")]
    Request(TextError),
    /// The inputs do not fit the agreement.
    #[error("inputs: {0}")]
    Inputs(InputsError),
    /// A request for an analysis that takes none.
    #[error("the analysis takes no request")]
    RequestUnexpected,
    /// A request with parameters, which nothing here would read.
    #[error("the analysis reads no parameters of a request")]
    RequestParameters,

    /// A key did not come.
    #[error("a key did not come")]
    Key,
    /// The host did not hand over the sealed files that the owners signed.
    #[error("a sealed file did not come as it was signed")]
    Ciphertext,
    /// A defect, of the program, of its machine, or of the host at the very end.
    #[error("the run failed")]
    Run,
}

impl Refusal {
    /// The one word about it that the host is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Documents(_)
            | Self::Agreement(_)
            | Self::ApprovalList(_)
            | Self::Approvals(_)
            | Self::UnknownAnalysis
            | Self::Parameters(_)
            | Self::Memory { .. } => ErrorCode::AgreementRefused,
            Self::OtherProgram { .. } | Self::Nsm(_) | Self::Evidence(_) | Self::Register { .. } => {
                ErrorCode::AttestationRefused
            }
            Self::InputSet(_)
            | Self::SignatureList(_)
            | Self::ManifestList(_)
            | Self::Manifest(_)
            | Self::Request(_)
            | Self::Inputs(_)
            | Self::RequestUnexpected
            | Self::RequestParameters => ErrorCode::InputsRefused,
            Self::Key => ErrorCode::KeyRefused,
            Self::Ciphertext => ErrorCode::CiphertextRefused,
            Self::Run => ErrorCode::RunFailed,
        }
    }
}

/// What is wrong with a list of signatures or manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// An entry is named by something that is no name.
    #[error("an entry has no proper name")]
    NotAName,
    /// Two entries have one name.
    #[error("an entry stands twice")]
    Twice,
}

/// What is wrong with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Register {
    /// It was extended or locked before.
    #[error("not zero and unlocked")]
    NotFresh,
    /// After the extension it holds something else than it must.
    #[error("extended to another value")]
    ExtendedWrongly,
    /// After locking it is not locked, or changed.
    #[error("not locked at its value")]
    NotLocked,
}
