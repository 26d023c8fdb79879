//! The platform configuration registers of a simulated NSM.

use entente_attestation::{Digest384, PcrIndex, extend};
use entente_image::{ImageMeasurements, pcr3_of_role, pcr4_of_instance};
use entente_nsm::{Lock, NsmErrorCode, PcrState};

/// Registers that the hypervisor fills and locks before the enclave runs: 0 to 15.
const LOCKED_AT_BOOT: usize = 16;
const COUNT: usize = 32;

/// What PCR3 and PCR4 say of the instance that an enclave runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentInstance {
    id: String,
    role: Option<String>,
}

impl ParentInstance {
    /// An instance with this id (`i-` and hex digits) and no IAM role.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), role: None }
    }

    /// Adds its IAM role's ARN.
    #[must_use]
    pub fn with_role(mut self, arn: &str) -> Self {
        self.role = Some(arn.to_owned());
        self
    }

    /// The instance id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The 32 registers, with 0 to 15 locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    values: [Digest384; COUNT],
    locked: [bool; COUNT],
}

impl Registers {
    /// As hardware leaves them after it has loaded an image: PCR0, 1, 2 and 8 from the image, 3 and 4 from the
    /// parent, everything else zero.
    pub fn at_boot(image: &ImageMeasurements, parent: &ParentInstance) -> Self {
        let mut registers = Self::debug_mode();
        registers.values[0] = *image.pcr0();
        registers.values[1] = *image.pcr1();
        registers.values[2] = *image.pcr2();
        if let Some(role) = &parent.role {
            registers.values[3] = pcr3_of_role(role);
        }
        registers.values[4] = pcr4_of_instance(&parent.id);
        if let Some(certificate) = image.pcr8() {
            registers.values[8] = *certificate;
        }
        registers
    }

    /// All zero: what documents of an enclave in debug mode show in PCR0, 1 and 2.
    pub fn debug_mode() -> Self {
        let mut locked = [false; COUNT];
        locked[..LOCKED_AT_BOOT].fill(true);
        Self { values: [Digest384::ZERO; COUNT], locked }
    }

    /// Puts a value into a register, locked or not: for tests that forge.
    #[must_use]
    pub fn with(mut self, register: PcrIndex, value: Digest384) -> Self {
        self.values[usize::from(register.number())] = value;
        self
    }

    /// The registers that documents hold, ascending: all locked ones.
    pub fn locked(&self) -> impl Iterator<Item = (u16, &Digest384)> {
        (0_u16..)
            .zip(self.values.iter().zip(&self.locked))
            .filter(|(_, (_, locked))| **locked)
            .map(|(index, (value, _))| (index, value))
    }

    pub(crate) fn describe(&self, index: u16) -> Result<PcrState, NsmErrorCode> {
        let slot = slot(index)?;
        let lock = if self.locked[slot] { Lock::Locked } else { Lock::Unlocked };
        Ok(PcrState { lock, value: self.values[slot] })
    }

    pub(crate) fn extend(&mut self, index: u16, data: &[u8]) -> Result<Digest384, NsmErrorCode> {
        let slot = self.unlocked(index)?;
        self.values[slot] = extend(&self.values[slot], data);
        Ok(self.values[slot])
    }

    pub(crate) fn lock(&mut self, index: u16) -> Result<(), NsmErrorCode> {
        let slot = self.unlocked(index)?;
        self.locked[slot] = true;
        Ok(())
    }

    /// Locks all registers below `range`. That some are locked already is no error (AWS's `nsm-check`).
    pub(crate) fn lock_below(&mut self, range: u16) -> Result<(), NsmErrorCode> {
        let range = self.locked.get_mut(..usize::from(range)).ok_or(NsmErrorCode::InvalidIndex)?;
        range.fill(true);
        Ok(())
    }

    fn unlocked(&self, index: u16) -> Result<usize, NsmErrorCode> {
        let slot = slot(index)?;
        if self.locked[slot] { Err(NsmErrorCode::ReadOnlyIndex) } else { Ok(slot) }
    }
}

fn slot(index: u16) -> Result<usize, NsmErrorCode> {
    Some(usize::from(index)).filter(|&index| index < COUNT).ok_or(NsmErrorCode::InvalidIndex)
}
