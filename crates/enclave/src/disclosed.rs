//! *Disclosed*: everything goes out at once, and the life ends (PROTOCOL §10.10).

use std::io::{Read, Write};

use entente_receipt::{Receipt, ResultFile};

use crate::Host;
use crate::refusal::Refusal;

/// One sealed result: what the statement says about it, and the age file.
pub(crate) struct SealedResult {
    pub(crate) file: ResultFile,
    pub(crate) bytes: Vec<u8>,
}

/// All results are sealed and the receipt is signed; nothing in this state is secret.
#[must_use = "a life goes on until it ends"]
pub struct Disclosed {
    results: Vec<SealedResult>,
    receipt: Receipt,
}

impl Disclosed {
    pub(crate) fn new(results: Vec<SealedResult>, receipt: Receipt) -> Self {
        Self { results, receipt }
    }

    /// Hands out every result file, in the agreement's order, then the receipt.
    ///
    /// # Errors
    /// [`Refusal::Run`] when the host does not take them. It may have some of them then; PROTOCOL §14 says what that means.
    pub fn hand_out<C: Read + Write>(self, host: &mut Host<C>) -> Result<(), Refusal> {
        for result in &self.results {
            host.deliver(&result.file.file_name(), &result.bytes).map_err(|_| Refusal::Run)?;
        }
        host.deliver_receipt(self.receipt.bytes().to_vec()).map_err(|_| Refusal::Run)?;
        host.finished().map_err(|_| Refusal::Run)
    }
}
