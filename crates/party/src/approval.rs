//! Before signing an agreement (PROTOCOL §11, steps 1 to 7), and signing it.

use crate::files::FileError;
use crate::home::{Home, HomeError};
use crate::journal::{Act, JournalError};
use crate::objects::write_signature;
use crate::signer::SignerError;
use entente_agreement::{Agreement, Name, Namespace, OwnBlockError, PinError, Root};
use entente_attestation::{Digest384, Measurements, UnixTime};
use std::path::{Path, PathBuf};

/// Whether a trust root that proves nothing about hardware is acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedRoot {
    /// Only the root of AWS Nitro Enclaves.
    Refuse,
    /// The simulated root of exactly this CA certificate (SHA-256 of its DER) too: for development and tests.
    Accept {
        /// SHA-256 of the CA certificate.
        ca_sha256: [u8; 32],
    },
}

/// Why an image's measurements are believed (step 5). There is no third way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageAssurance {
    /// This party rebuilt the images and got these measurements.
    Rebuilt(Vec<Measurements>),
    /// Somebody whom this party trusts rebuilt them and says so.
    VouchedFor {
        /// Who.
        by: String,
    },
}

/// What the party brings to the review of an agreement.
#[derive(Debug, Clone)]
pub struct ReviewTerms<'a> {
    /// Step 4.
    pub simulated: SimulatedRoot,
    /// Step 5.
    pub images: ImageAssurance,
    /// Step 6: the agreement that the new one says it replaces, so that the two can be compared; `None` if it replaces none.
    pub previous: Option<&'a Agreement>,
    /// The present.
    pub at: UnixTime,
}

/// An agreement that passed what a program can check of PROTOCOL §11, steps 1 to 7, for one party. Only [`review`] makes one.
///
/// What it cannot check is reading: who learns what from whom (step 6), and whether that is wanted.
pub struct Review<'a> {
    agreement: &'a Agreement,
    party: Name,
}

impl Review<'_> {
    /// The agreement that was reviewed.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        self.agreement
    }
}

/// Makes the checks of PROTOCOL §11, steps 2 to 6, in their order.
///
/// # Errors
///
/// [`ReviewError`]: the first step that fails.
pub fn review<'a>(
    home: &Home,
    agreement: &'a Agreement,
    terms: &ReviewTerms<'_>,
) -> Result<Review<'a>, ReviewError> {
    let own =
        agreement.party(home.name()).ok_or_else(|| ReviewError::NotAParty { name: home.name().clone() })?;
    own.check_own(home.sign_key(), home.result_key())?;
    home.known_parties()?.check_others(agreement, home.name())?;
    match (agreement.root(), terms.simulated) {
        (Root::AwsNitro, _) => {}
        (Root::Simulated { ca_sha256 }, SimulatedRoot::Accept { ca_sha256: accepted })
            if ca_sha256 == accepted => {}
        (root @ Root::Simulated { .. }, _) => {
            return Err(ReviewError::SimulatedRoot { root: root.to_string() });
        }
    }
    if let ImageAssurance::Rebuilt(rebuilt) = &terms.images {
        for image in agreement.images() {
            if !rebuilt.contains(image.measurements()) {
                return Err(ReviewError::ImageNotRebuilt { image: image.name().clone() });
            }
        }
    }
    if terms.at >= agreement.window().not_after() {
        return Err(ReviewError::Over { not_after: agreement.window().not_after() });
    }
    match (agreement.supersedes(), terms.previous.map(Agreement::digest)) {
        (None, _) => {}
        (Some(named), Some(given)) if named == given => {}
        (Some(named), _) => return Err(ReviewError::PreviousMissing { previous: named }),
    }
    Ok(Review { agreement, party: home.name().clone() })
}

/// Signs a reviewed agreement: notes it in the journal, signs, and writes `FILE.PARTY.sig`, whose path is returned.
///
/// # Errors
///
/// [`ReviewError`]; no signature was written then.
pub fn approve(home: &Home, review: &Review<'_>, file: &Path, at: UnixTime) -> Result<PathBuf, ReviewError> {
    if review.party != *home.name() {
        return Err(ReviewError::NotAParty { name: home.name().clone() });
    }
    let agreement = review.agreement;
    let signer = home.signer()?;
    let mut journal = home.journal()?;
    if !journal.approved(&agreement.digest()) {
        journal.record(at, Act::Approved { agreement: agreement.digest() })?;
    }
    let armored = signer.sign(Namespace::Agreement, agreement.bytes())?;
    Ok(write_signature(file, home.name(), &armored)?)
}

/// An agreement must not be signed, or could not be.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The agreement has no block with this party's name.
    #[error("the agreement has no party `{name}`")]
    NotAParty {
        /// This party.
        name: Name,
    },
    /// Step 2: the party's own block holds a foreign key.
    #[error(transparent)]
    OwnBlock(#[from] OwnBlockError),
    /// Step 3: a key that is not in `known_parties`.
    #[error(transparent)]
    Unpinned(#[from] PinError),
    /// Step 4: a simulated root that was not accepted by name.
    #[error("SIMULATED: the agreement's trust root is {root}; accept exactly that root, or do not sign")]
    SimulatedRoot {
        /// The agreement's root.
        root: String,
    },
    /// Step 5: no image that was rebuilt has these measurements.
    #[error("the image `{image}` was not rebuilt with these measurements")]
    ImageNotRebuilt {
        /// The image.
        image: Name,
    },
    /// Step 6: the window is over.
    #[error("the agreement ended at {not_after}")]
    Over {
        /// Its end.
        not_after: UnixTime,
    },
    /// Step 6: the agreement replaces another one that was not given to compare with.
    #[error("the agreement replaces {previous}; give that one, to see what the new one changes")]
    PreviousMissing {
        /// Digest of the agreement that is replaced.
        previous: Digest384,
    },
    /// The party's directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Writing the signature.
    #[error(transparent)]
    File(#[from] FileError),
}
