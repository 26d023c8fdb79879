//! The facts of an image as JSON, in the member names of `nitro-cli describe-eif`, and more.

use entente_attestation::Digest384;
use serde::Serialize;

use crate::eif::{Eif, SectionKind};
use crate::measure::ImageMeasurements;
use crate::metadata::Metadata;

/// The facts of an image, for people and programs. Serialises with the member names that `nitro-cli describe-eif`
/// prints, plus `Architecture`, `DefaultMemory`, `DefaultCpus`, `CommandLine` and `Sections`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Description {
    eif_version: u16,
    architecture: String,
    default_memory: u64,
    default_cpus: u64,
    measurements: Registers,
    is_signed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureDescription>,
    #[serde(rename = "CheckCRC")]
    check_crc: bool,
    command_line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    sections: Vec<SectionDescription>,
}

#[derive(Clone, Debug, Serialize)]
struct Registers {
    #[serde(rename = "HashAlgorithm")]
    algorithm: &'static str,
    #[serde(rename = "PCR0")]
    pcr0: String,
    #[serde(rename = "PCR1")]
    pcr1: String,
    #[serde(rename = "PCR2")]
    pcr2: String,
    #[serde(rename = "PCR8", skip_serializing_if = "Option::is_none")]
    pcr8: Option<String>,
}

/// One section: what, where, how long, and the SHA-384 of its contents (which is not a PCR).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SectionDescription {
    kind: String,
    offset: u64,
    size: u64,
    sha384: String,
}

/// The signature section: the certificate's SHA-384 and size. Whether the signature verifies is not said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignatureDescription {
    certificate_sha384: String,
    certificate_bytes: u64,
}

impl Description {
    /// Collects the facts. Metadata that cannot be read is left out: nothing depends on it.
    pub fn of(image: &Eif<'_>) -> Self {
        let metadata = image.metadata().ok().flatten();
        Self {
            eif_version: crate::eif::VERSION,
            architecture: image.architecture().to_string(),
            default_memory: image.default_memory(),
            default_cpus: image.default_cpus(),
            measurements: Registers::of(&image.measure()),
            is_signed: image.signature().is_some(),
            signature: image.signature().map(|s| SignatureDescription {
                certificate_sha384: Digest384::of(s.certificate_der()).to_string(),
                certificate_bytes: crate::eif::wide(s.certificate_der().len()),
            }),
            // An image whose checksum does not fit is not an `Eif`.
            check_crc: true,
            command_line: String::from_utf8_lossy(image.command_line()).into_owned(),
            image_name: metadata.as_ref().map(|m| m.image_name().to_owned()),
            image_version: metadata.as_ref().map(|m| m.image_version().to_owned()),
            metadata,
            sections: image
                .sections()
                .iter()
                .map(|s| SectionDescription {
                    kind: match s.kind() {
                        SectionKind::CommandLine => "cmdline".to_owned(),
                        kind => kind.to_string(),
                    },
                    offset: s.offset(),
                    size: crate::eif::wide(s.bytes().len()),
                    sha384: Digest384::of(s.bytes()).to_string(),
                })
                .collect(),
        }
    }

    /// The facts as indented JSON, ending in a line feed.
    pub fn to_json(&self) -> String {
        // Text keys and plain values cannot fail to be written into memory.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Registers {
    fn of(measured: &ImageMeasurements) -> Self {
        Self {
            algorithm: "Sha384 { ... }",
            pcr0: measured.pcr0().to_string(),
            pcr1: measured.pcr1().to_string(),
            pcr2: measured.pcr2().to_string(),
            pcr8: measured.pcr8().map(Digest384::to_string),
        }
    }
}
