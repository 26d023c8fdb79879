//! Platform configuration registers: indices, extension, image measurements.

use core::fmt;

use crate::Digest384;

/// The number of a platform configuration register, 0 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// PCR0: the whole image (kernel, command line, all ramdisks).
    pub const IMAGE: Self = Self(0);
    /// PCR1: kernel, command line and first ramdisk.
    pub const KERNEL: Self = Self(1);
    /// PCR2: the ramdisks of the application.
    pub const APPLICATION: Self = Self(2);
    /// PCR3: the IAM role of the parent instance, zero without one.
    pub const PARENT_ROLE: Self = Self(3);
    /// PCR4: the id of the parent instance.
    pub const PARENT_INSTANCE: Self = Self(4);
    /// PCR8: the certificate that signed the image, zero if it is not signed.
    pub const SIGNING_CERTIFICATE: Self = Self(8);
    /// PCR16: the agreement (PROTOCOL §4).
    pub const AGREEMENT: Self = Self(16);
    /// PCR17: the input set (PROTOCOL §4).
    pub const INPUT_SET: Self = Self(17);

    /// The register with this number; `None` above 31.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 32 { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 31.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR{}", self.0)
    }
}

/// What an image measures to: PCR0, PCR1 and PCR2, none of them zero.
///
/// # Security
/// An enclave in debug mode has zero in all three and its memory can be read by its host. No value of this type can
/// describe one, so nothing that is compared with `Measurements` ever accepts debug mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measurements {
    pcr0: Digest384,
    pcr1: Digest384,
    pcr2: Digest384,
}

impl Measurements {
    /// The measurements with these registers.
    ///
    /// # Errors
    /// [`DebugMode`] naming the first register that is all zero.
    pub fn new(pcr0: Digest384, pcr1: Digest384, pcr2: Digest384) -> Result<Self, DebugMode> {
        for (index, pcr) in
            [(PcrIndex::IMAGE, &pcr0), (PcrIndex::KERNEL, &pcr1), (PcrIndex::APPLICATION, &pcr2)]
        {
            if pcr.is_zero() {
                return Err(DebugMode { register: index });
            }
        }
        Ok(Self { pcr0, pcr1, pcr2 })
    }

    /// The whole image (kernel, command line, all ramdisks).
    #[must_use]
    pub fn pcr0(&self) -> &Digest384 {
        &self.pcr0
    }

    /// Kernel, command line and first ramdisk.
    #[must_use]
    pub fn pcr1(&self) -> &Digest384 {
        &self.pcr1
    }

    /// The ramdisks of the application.
    #[must_use]
    pub fn pcr2(&self) -> &Digest384 {
        &self.pcr2
    }
}

/// A measurement register is all zero: the enclave runs in debug mode, where its host can read its console and the
/// registers say nothing about its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{register} is all zero: the enclave runs in debug mode and proves nothing about its code")]
pub struct DebugMode {
    /// The first of PCR0, PCR1, PCR2 that is zero.
    pub register: PcrIndex,
}

/// What a register holds after it is extended with `data`: SHA-384(old value ‖ data).
///
/// This is the rule of the Nitro Secure Module's `ExtendPCR`; a fresh register is [`Digest384::ZERO`].
#[must_use]
pub fn extend(pcr: &Digest384, data: &[u8]) -> Digest384 {
    Digest384::of_parts(&[pcr.as_bytes(), data])
}

/// PCR16 of an enclave that is bound to this agreement: its digest, extended once from zero (PROTOCOL §4).
#[must_use]
pub fn pcr16_for(agreement: &Digest384) -> Digest384 {
    extend(&Digest384::ZERO, agreement.as_bytes())
}

/// PCR17 of an enclave that is bound to this input set: its digest, extended once from zero (PROTOCOL §4).
#[must_use]
pub fn pcr17_for(input_set: &Digest384) -> Digest384 {
    extend(&Digest384::ZERO, input_set.as_bytes())
}
