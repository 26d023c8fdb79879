//! Enclave images: what runs, as bytes, and the numbers that name it.
//!
//! An enclave image file (EIF, version 4) holds a kernel, a command line and ramdisks; hardware hashes them
//! into PCR0, PCR1 and PCR2 before it runs them. This crate reads such a file ([`Eif`]), measures it
//! ([`ImageMeasurements`]), describes it ([`Description`]), and builds one from its parts with the same bytes
//! every time ([`EifBuilder`], [`EnclaveImage`]). Ramdisks are cpio archives ([`RamdiskBuilder`], [`Ramdisk`]).
//!
//! It is pure: no file, clock or random number is touched, and nothing is copied while reading.
//!
//! # Threat model
//!
//! * An image comes from outside: every length, offset and count in it may lie, so each is checked before use.
//! * Two readers must never see two images in one file: gaps, overlaps, bytes behind the end, unknown flags
//!   and sections out of order are refused, though the PCRs would not change.
//! * PCR0–2 do not fix where one section ends and the next begins, nor metadata and flags: nothing that
//!   matters may be read from there.
//!
//! # Example
//!
//! ```
//! use entente_image::{Application, Eif, EnclaveImage};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let program = b"\x7fELF and so on";
//! let image = EnclaveImage::application(&Application::new("auction", "0.1.0", program))?;
//! let again = EnclaveImage::application(&Application::new("auction", "0.1.0", program))?;
//! assert_eq!(image.bytes(), again.bytes());
//!
//! let read = Eif::parse(image.bytes())?;
//! assert_eq!(read.measure(), *image.measurements());
//! println!("{}", read.measure().pcr0());
//! # Ok(())
//! # }
//! ```

mod application;
mod builder;
mod describe;
mod eif;
mod measure;
mod metadata;
mod ramdisk;
mod signature;

pub use application::{
    Application, COMMAND_LINE, DEFAULT_MEMORY, EnclaveImage, Kernel, LOCAL_ONLY_KERNEL, PROGRAM,
};
pub use builder::{BuildError, EifBuilder};
pub use describe::{Description, SectionDescription, SignatureDescription};
pub use eif::{Architecture, Eif, EifError, Section, SectionKind};
pub use measure::{ImageMeasurements, pcr3_of_role, pcr4_of_instance, pcr8_of_certificate};
pub use metadata::{EPOCH, Metadata, MetadataError};
pub use ramdisk::{
    Entry, EntryKind, Mode, ModeError, Ramdisk, RamdiskBuildError, RamdiskBuilder, RamdiskError,
    RamdiskLimits,
};
pub use signature::{ImageSignature, SignatureError};
