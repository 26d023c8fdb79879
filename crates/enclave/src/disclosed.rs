//! *Disclosed*: everything goes out at once, and the life ends (PROTOCOL §10.10).

use std::io::{Read, Write};

use entente_attestation::Digest384;

use crate::Host;
use crate::refusal::Refusal;

/// One sealed result.
pub(crate) struct ResultFile {
    /// `OUTPUT.RECIPIENT.age`.
    pub(crate) name: String,
    /// Digest of the archive inside.
    pub(crate) opened: Digest384,
    /// The age file.
    pub(crate) sealed: Vec<u8>,
}

/// All results are sealed and the receipt is signed; nothing in this state is secret.
#[must_use = "a life goes on until it ends"]
pub struct Disclosed {
    files: Vec<ResultFile>,
    receipt: Vec<u8>,
}

impl Disclosed {
    pub(crate) fn new(files: Vec<ResultFile>, receipt: Vec<u8>) -> Self {
        Self { files, receipt }
    }

    /// Hands out every result file, in the agreement's order, then the receipt.
    ///
    /// # Errors
    /// [`Refusal::Run`] when the host does not take them. It may have some of them then; PROTOCOL §14 says what that means.
    pub fn hand_out<C: Read + Write>(self, host: &mut Host<C>) -> Result<(), Refusal> {
        for file in &self.files {
            host.deliver(&file.name, &file.sealed).map_err(|_| Refusal::Run)?;
        }
        host.deliver_receipt(self.receipt).map_err(|_| Refusal::Run)?;
        host.finished().map_err(|_| Refusal::Run)
    }
}
