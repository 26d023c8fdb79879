//! What hardware computes from an image before it runs it (AWS image-format, `src/utils/mod.rs`, `eif_hasher.rs`).

use entente_attestation::{DebugMode, Digest384, Measurements, extend};

use crate::eif::Eif;

/// The registers that an image alone determines.
///
/// Each is `SHA-384(48 zero bytes ‖ SHA-384(what is measured))`:
///
/// | register | measured |
/// |---|---|
/// | PCR0 | kernel, command line, all ramdisks |
/// | PCR1 | kernel, command line, first ramdisk |
/// | PCR2 | all ramdisks but the first |
/// | PCR8 | the signing certificate in DER; absent (zero in a document) if the image is not signed |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageMeasurements {
    pcr0: Digest384,
    pcr1: Digest384,
    pcr2: Digest384,
    pcr8: Option<Digest384>,
}

impl ImageMeasurements {
    pub(crate) fn of(image: &Eif<'_>) -> Self {
        let ramdisks: Vec<&[u8]> = image.ramdisks().collect();
        let boot = [image.kernel(), image.command_line()];
        let first = ramdisks.len().min(1);
        Self {
            pcr0: register(&[&boot[..], &ramdisks].concat()),
            pcr1: register(&[&boot[..], &ramdisks[..first]].concat()),
            pcr2: register(&ramdisks[first..]),
            pcr8: image.signature().map(|s| pcr8_of_certificate(s.certificate_der())),
        }
    }

    /// The whole image.
    pub fn pcr0(&self) -> &Digest384 {
        &self.pcr0
    }

    /// Kernel, command line and boot ramdisk.
    pub fn pcr1(&self) -> &Digest384 {
        &self.pcr1
    }

    /// The application.
    pub fn pcr2(&self) -> &Digest384 {
        &self.pcr2
    }

    /// PCR0, 1 and 2 as the value that documents are compared with.
    ///
    /// # Errors
    ///
    /// [`DebugMode`] if one is zero, which no image measures to.
    pub fn to_measurements(&self) -> Result<Measurements, DebugMode> {
        Measurements::new(self.pcr0, self.pcr1, self.pcr2)
    }

    /// The signing certificate, if the image is signed.
    pub fn pcr8(&self) -> Option<&Digest384> {
        self.pcr8.as_ref()
    }
}

/// PCR8 of an image that is signed under this certificate (DER).
pub fn pcr8_of_certificate(der: &[u8]) -> Digest384 {
    register(&[der])
}

/// PCR3 of an enclave whose parent instance has this IAM role:
/// `SHA-384(48 zero bytes ‖ ARN)`. As QEMU computes it; AWS's documentation was not re-read.
pub fn pcr3_of_role(arn: &str) -> Digest384 {
    extend(&Digest384::ZERO, arn.as_bytes())
}

/// PCR4 of an enclave on this parent instance: `SHA-384(48 zero bytes ‖ "i-…")`.
pub fn pcr4_of_instance(id: &str) -> Digest384 {
    extend(&Digest384::ZERO, id.as_bytes())
}

fn register(parts: &[&[u8]]) -> Digest384 {
    extend(&Digest384::ZERO, Digest384::of_parts(parts).as_bytes())
}
