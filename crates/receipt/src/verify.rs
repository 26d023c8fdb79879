//! What anybody checks on a receipt (PROTOCOL §13).

use core::fmt;

use entente_agreement::{
    Agreement, Analysis, ApprovedAgreement, Authorize, Image, InputsError, Name, Root, SignedInputs,
    SignedRequest, VerifiedInputs, check_set,
};
use entente_attestation::{
    AppraisalError, AttestedEnclave, AuthenticationError, Digest384, DocumentKind, Freshness,
    HardwareRegisters, Measurements, PcrIndex, Policy, RootKind, TrustAnchor, UnixTime, UserRegisters,
    explain::{Explain, Explanation},
};

use crate::{Receipt, ReceiptError, ResultFile, Statement};

/// Checks a receipt under an agreement and a trust anchor, offline, step by step as PROTOCOL §13 numbers them.
///
/// The anchor is the verifier's choice, made without looking at the receipt: [`TrustAnchor::aws_nitro`], or a simulated
/// root that somebody handed over on purpose. A simulated agreement never verifies under AWS's, nor the other way round.
///
/// # Errors
/// [`VerificationError`], the first check that failed.
pub fn verify(
    receipt: &[u8],
    agreement: &Agreement,
    anchor: &TrustAnchor,
) -> Result<VerifiedReceipt, VerificationError> {
    check_root(agreement, anchor)?;
    let (statement, document) = Receipt::parse(receipt)?.into_parts();
    // 1. Authentic at its own timestamp: the question is what was so then. Step 4 asks when that was.
    let made_at = document.timestamp_unverified();
    let document = document.authenticate(anchor, made_at)?;
    // 2. It was made for this statement and no other.
    let user_data = statement.user_data();
    if document.user_data() != Some(user_data.as_bytes()) {
        return Err(VerificationError::NotThisStatement);
    }
    // 3. Strict JSON: Receipt::parse.
    // 4. The agreement is this one.
    if statement.agreement() != agreement.digest() {
        return Err(VerificationError::OtherAgreement {
            expected: agreement.digest(),
            found: statement.agreement(),
        });
    }
    let analysis = agreement
        .analysis(statement.analysis())
        .ok_or_else(|| VerificationError::UnknownAnalysis { analysis: statement.analysis().clone() })?;
    let image = agreement
        .image(analysis.image())
        .ok_or_else(|| VerificationError::UnknownImage { image: analysis.image().clone() })?;
    // 5. The image is the one that the agreement has for this analysis; that it ran, the policy below checks.
    check_image(image.measurements(), statement.image())?;
    // 6. The input set is the one that the statement's own fields make, and one that this analysis can have.
    let input_set = statement.input_set();
    if statement.claimed_input_set() != input_set.digest() {
        return Err(VerificationError::InputSetDiffers {
            rendered: input_set.digest(),
            claimed: statement.claimed_input_set(),
        });
    }
    check_set(agreement, analysis, input_set)?;
    if analysis.authorize() == Authorize::Request && statement.request().is_none() {
        return Err(VerificationError::RequestMissing);
    }
    // 7. Every recipient got every output, and nobody anything else.
    check_results(analysis, &statement)?;
    // 2, 4, 5, 6 on the document's side: kind, window, PCR0 to 2 (3, 4, 8 where named), PCR16, PCR17, no other.
    let enclave = document.appraise(&policy(agreement, image, &statement))?;
    Ok(VerifiedReceipt { statement, enclave, agreement: agreement.digest() })
}

fn check_root(agreement: &Agreement, anchor: &TrustAnchor) -> Result<(), VerificationError> {
    match (agreement.root(), anchor.kind()) {
        (Root::AwsNitro, RootKind::AwsNitro) => Ok(()),
        (Root::AwsNitro, RootKind::Simulated) => Err(VerificationError::AnchorIsSimulated),
        (Root::Simulated { .. }, RootKind::AwsNitro) => Err(VerificationError::AgreementIsSimulated),
        (Root::Simulated { ca_sha256 }, RootKind::Simulated) if ca_sha256 == anchor.fingerprint() => Ok(()),
        (Root::Simulated { ca_sha256 }, RootKind::Simulated) => {
            Err(VerificationError::OtherRoot { expected: ca_sha256, found: anchor.fingerprint() })
        }
    }
}

fn check_image(agreed: &Measurements, stated: &Measurements) -> Result<(), VerificationError> {
    for (register, expected, found) in [
        (PcrIndex::IMAGE, agreed.pcr0(), stated.pcr0()),
        (PcrIndex::KERNEL, agreed.pcr1(), stated.pcr1()),
        (PcrIndex::APPLICATION, agreed.pcr2(), stated.pcr2()),
    ] {
        if expected != found {
            return Err(VerificationError::OtherImage { register, expected: *expected, found: *found });
        }
    }
    Ok(())
}

fn check_results(analysis: &Analysis, statement: &Statement) -> Result<(), VerificationError> {
    let outputs = analysis.outputs();
    let results = statement.results();
    for (output, result) in outputs.iter().zip(results) {
        if *output.name() != result.output || *output.recipient() != result.recipient {
            return Err(VerificationError::ResultDiffers {
                expected: output.file_name(),
                found: result.file_name(),
            });
        }
    }
    if outputs.len() == results.len() {
        Ok(())
    } else {
        Err(VerificationError::ResultCount { expected: outputs.len(), found: results.len() })
    }
}

fn policy(agreement: &Agreement, image: &Image, statement: &Statement) -> Policy {
    let mut hardware_registers = HardwareRegisters::unnamed();
    if let Some(pcr3) = image.pcr3() {
        hardware_registers = hardware_registers.and_parent_role(pcr3);
    }
    if let Some(pcr4) = image.pcr4() {
        hardware_registers = hardware_registers.and_parent_instance(pcr4);
    }
    if let Some(pcr8) = image.pcr8() {
        hardware_registers = hardware_registers.and_signed_by(pcr8);
    }
    let window = agreement.window();
    Policy {
        measurements: *image.measurements(),
        hardware_registers,
        user_registers: UserRegisters::Bound {
            agreement: agreement.digest(),
            input_set: statement.input_set().digest(),
        },
        freshness: Freshness::Window { not_before: window.not_before(), not_after: window.not_after() },
        kind: DocumentKind::Receipt { statement: statement.user_data() },
    }
}

/// A receipt that verifies: *this image, under this agreement, on these sealed inputs, made these sealed files at this
/// time*.
///
/// # Security
/// It does not say what is in the files, until a recipient shows an archive that hashes to `opened`; nor that the parties
/// approved the agreement and authorized the inputs, until [`check_signatures`](Self::check_signatures). Under a
/// simulated root it proves something only to who trusts the holder of that root's key: [`root`](Self::root).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    statement: Statement,
    enclave: AttestedEnclave,
    agreement: Digest384,
}

impl VerifiedReceipt {
    /// What was proved.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The enclave that proved it, with its document.
    #[must_use]
    pub fn enclave(&self) -> &AttestedEnclave {
        &self.enclave
    }

    /// When the run ended, by the hypervisor's clock.
    #[must_use]
    pub fn made_at(&self) -> UnixTime {
        self.enclave.document().timestamp()
    }

    /// Whose word it is. Whatever is shown of a simulated receipt must say so.
    #[must_use]
    pub fn root(&self) -> RootKind {
        self.enclave.document().root()
    }

    /// The result file of an output for a recipient.
    #[must_use]
    pub fn result(&self, output: &Name, recipient: &Name) -> Option<&ResultFile> {
        self.statement.results().iter().find(|file| file.output == *output && file.recipient == *recipient)
    }

    /// Step 8, if signatures are at hand: every party approved the agreement, every owner signed the input set and its
    /// manifests, and who must have signed the request.
    ///
    /// # Errors
    /// [`VerificationError`]: of another agreement, input set or request than the receipt's, or signed wrongly.
    pub fn check_signatures(
        self,
        approved: &ApprovedAgreement,
        inputs: SignedInputs,
        request: Option<SignedRequest>,
    ) -> Result<AuthorizedReceipt, VerificationError> {
        let found = approved.agreement().digest();
        if found != self.agreement {
            return Err(VerificationError::OtherAgreement { expected: self.agreement, found });
        }
        let inputs = VerifiedInputs::verify(approved, self.statement.analysis(), inputs, request)?;
        let expected = self.statement.input_set().digest();
        if inputs.set().digest() != expected {
            return Err(VerificationError::OtherInputSet { expected, found: inputs.set().digest() });
        }
        let found = inputs.request().map(entente_agreement::Request::digest);
        if found != self.statement.request() {
            return Err(VerificationError::OtherRequest { expected: self.statement.request(), found });
        }
        Ok(AuthorizedReceipt { receipt: self, inputs })
    }
}

impl fmt::Display for VerifiedReceipt {
    /// The verdict in one sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.root() == RootKind::Simulated {
            f.write_str("SIMULATED: ")?;
        }
        let statement = &self.statement;
        write!(
            f,
            "the image {} ran the analysis {} (round {}) under the agreement {}, on the input set {}, and made {} sealed \
             files at {}",
            statement.image().pcr0(),
            statement.analysis(),
            statement.round(),
            statement.agreement(),
            statement.input_set().digest(),
            statement.results().len(),
            self.made_at()
        )
    }
}

/// A verified receipt of a run that everybody signed for who has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedReceipt {
    receipt: VerifiedReceipt,
    inputs: VerifiedInputs,
}

impl AuthorizedReceipt {
    /// The receipt.
    #[must_use]
    pub fn receipt(&self) -> &VerifiedReceipt {
        &self.receipt
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &VerifiedInputs {
        &self.inputs
    }
}

/// Why a receipt does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerificationError {
    /// It is not a receipt.
    #[error(transparent)]
    Form(#[from] ReceiptError),
    /// The agreement names a simulated root, and no such root was handed over.
    #[error("the agreement names a SIMULATED root; it verifies only with that root handed over")]
    AgreementIsSimulated,
    /// The agreement names AWS's root, and a simulated one was handed over.
    #[error("the agreement names the root of AWS Nitro; a simulated root proves nothing about it")]
    AnchorIsSimulated,
    /// Another simulated root than the agreement names was handed over.
    #[error("the root handed over is not the one that the agreement names")]
    OtherRoot {
        /// SHA-256 of the certificate that the agreement names.
        expected: [u8; 32],
        /// SHA-256 of the certificate handed over.
        found: [u8; 32],
    },
    /// The document is not authentic.
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    /// The document was made for another statement, or for another purpose.
    #[error("the attestation document was not made for this statement")]
    NotThisStatement,
    /// The receipt is of a run under another agreement.
    #[error("the receipt is for the agreement {found}, not for {expected}")]
    OtherAgreement {
        /// The agreement at hand.
        expected: Digest384,
        /// The receipt's.
        found: Digest384,
    },
    /// The agreement has no such analysis.
    #[error("the agreement has no analysis `{analysis}`")]
    UnknownAnalysis {
        /// The receipt's.
        analysis: Name,
    },
    /// The agreement has no such image.
    #[error("the agreement has no image `{image}`")]
    UnknownImage {
        /// The analysis's.
        image: Name,
    },
    /// The statement names other measurements than the agreement.
    #[error("the statement's {register} is {found}, the agreement's {expected}")]
    OtherImage {
        /// The first register that differs.
        register: PcrIndex,
        /// The agreement's.
        expected: Digest384,
        /// The statement's.
        found: Digest384,
    },
    /// The input set's digest does not follow from the statement's fields.
    #[error("the statement's inputs {claimed} are not those of its fields, {rendered}")]
    InputSetDiffers {
        /// The digest of the set that the fields make.
        rendered: Digest384,
        /// The digest that the statement gives.
        claimed: Digest384,
    },
    /// The input set does not fit the agreement, or is not signed by who must have signed it.
    #[error(transparent)]
    Inputs(Box<InputsError>),
    /// The analysis runs on requests only, and the statement names none.
    #[error("the analysis runs on signed requests only; the receipt names none")]
    RequestMissing,
    /// A result file is not the one that the agreement has at this place.
    #[error("the receipt has {found} where the agreement has {expected}")]
    ResultDiffers {
        /// The agreement's.
        expected: String,
        /// The receipt's.
        found: String,
    },
    /// There are more or fewer result files than agreed.
    #[error("the receipt has {found} result files, the agreement {expected}")]
    ResultCount {
        /// The agreement's.
        expected: usize,
        /// The receipt's.
        found: usize,
    },
    /// The document says something else than the statement: registers, time or purpose.
    #[error(transparent)]
    Appraisal(#[from] AppraisalError),
    /// The signed input set at hand is not the receipt's.
    #[error("the input set at hand is {found}, the receipt's is {expected}")]
    OtherInputSet {
        /// The receipt's.
        expected: Digest384,
        /// The one at hand.
        found: Digest384,
    },
    /// The signed request at hand is not the receipt's.
    #[error("the request at hand is not the receipt's")]
    OtherRequest {
        /// The receipt's.
        expected: Option<Digest384>,
        /// The one at hand.
        found: Option<Digest384>,
    },
}

impl From<InputsError> for VerificationError {
    fn from(error: InputsError) -> Self {
        Self::Inputs(Box::new(error))
    }
}

impl Explain for VerificationError {
    fn explain(&self) -> Explanation {
        let advice = match self {
            Self::Authentication(error) => return error.explain(),
            Self::Appraisal(error) => return error.explain(),
            Self::Form(ReceiptError::Document(error)) => return error.explain(),
            Self::Form(_) => "Fetch the receipt again as the host stored it; it must not be reformatted.",
            Self::AgreementIsSimulated => {
                "Hand over the simulated root (`--root FILE`) to check it as what it is: a simulation, which proves \
                 nothing about hardware."
            }
            Self::AnchorIsSimulated => "Leave `--root` out: AWS's root is built in.",
            Self::OtherRoot { .. } => "Hand over the root whose SHA-256 the agreement names.",
            Self::OtherAgreement { .. } => "Give the agreement that the run was made under.",
            Self::OtherInputSet { .. } | Self::OtherRequest { .. } => {
                "Give the signed inputs of this run; the receipt is one of another."
            }
            Self::Inputs(_) => "Refuse it: the run was not authorized as the agreement demands.",
            _ => "Refuse it: the receipt was changed or put together from several runs.",
        };
        Explanation { problem: format!("The receipt does not verify: {self}."), advice: advice.to_owned() }
    }
}
