//! The writer of EIF version 4.

use crate::eif::{
    ARM64, Architecture, BEFORE_CHECKSUM, Eif, EifError, HEADER, MAGIC, SECTION_HEADER, SLOTS, SectionKind,
    VERSION, wide,
};
use crate::metadata::Metadata;
use crate::ramdisk::RamdiskBuildError;

/// What AWS's `eif_build` writes as proposed memory: 1 GiB.
const AWS_DEFAULT_MEMORY: u64 = 1 << 30;
/// What AWS's `eif_build` writes as proposed number of processors.
const AWS_DEFAULT_CPUS: u64 = 2;

/// Why an image cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// More parts than the format has slots for.
    #[error("{found} sections; the format has room for 32")]
    TooManySections {
        /// How many there would be.
        found: usize,
    },
    /// The reader would not accept the result.
    #[error("the image would not be valid: {0}")]
    Image(#[from] EifError),
    /// A ramdisk cannot be built.
    #[error("ramdisk: {0}")]
    Ramdisk(#[from] RamdiskBuildError),
    /// The program to put into the image has no bytes.
    #[error("the program is empty")]
    EmptyProgram,
}

/// Builds an image from its parts. The same parts give the same bytes, everywhere and always; they are those of
/// AWS's `eif_build`, in the order kernel, command line, metadata, ramdisks, signature.
#[derive(Clone, Debug)]
pub struct EifBuilder<'a> {
    architecture: Architecture,
    default_memory: u64,
    default_cpus: u64,
    kernel: &'a [u8],
    command_line: &'a [u8],
    metadata: Vec<u8>,
    ramdisks: Vec<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

impl<'a> EifBuilder<'a> {
    /// Begins an image for x86-64 with AWS's defaults for memory (1 GiB) and processors (2).
    pub fn new(kernel: &'a [u8], command_line: &'a str, metadata: &Metadata) -> Self {
        Self {
            architecture: Architecture::X86_64,
            default_memory: AWS_DEFAULT_MEMORY,
            default_cpus: AWS_DEFAULT_CPUS,
            kernel,
            command_line: command_line.as_bytes(),
            metadata: metadata.to_bytes(),
            ramdisks: Vec::new(),
            signature: None,
        }
    }

    /// Appends a ramdisk. The first is the boot's (PCR1), the others are the application's (PCR2).
    #[must_use]
    pub fn ramdisk(mut self, ramdisk: &'a [u8]) -> Self {
        self.ramdisks.push(ramdisk);
        self
    }

    /// Sets the processor. Not measured.
    #[must_use]
    pub fn architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = architecture;
        self
    }

    /// Sets the memory in bytes that the image proposes. Not measured.
    #[must_use]
    pub fn default_memory(mut self, bytes: u64) -> Self {
        self.default_memory = bytes;
        self
    }

    /// Sets the number of processors that the image proposes. Not measured.
    #[must_use]
    pub fn default_cpus(mut self, count: u64) -> Self {
        self.default_cpus = count;
        self
    }

    /// Adds a signature section that was made elsewhere, as it stands.
    #[must_use]
    pub fn signature_section(mut self, section: &'a [u8]) -> Self {
        self.signature = Some(section);
        self
    }

    /// The image's bytes. What is returned has been read back by [`Eif::parse`].
    ///
    /// # Errors
    ///
    /// [`BuildError::TooManySections`], or [`BuildError::Image`] with what the reader would object to: no ramdisk,
    /// an empty kernel, a NUL in the command line, a section above its limit, a malformed signature section.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let mut sections: Vec<(SectionKind, &[u8])> = vec![
            (SectionKind::Kernel, self.kernel),
            (SectionKind::CommandLine, self.command_line),
            (SectionKind::Metadata, &self.metadata),
        ];
        sections.extend(self.ramdisks.iter().map(|r| (SectionKind::Ramdisk, *r)));
        sections.extend(self.signature.map(|s| (SectionKind::Signature, s)));
        let too_many = BuildError::TooManySections { found: sections.len() };
        if sections.len() > SLOTS {
            return Err(too_many);
        }
        let count = u16::try_from(sections.len()).map_err(|_| too_many)?;

        let mut offsets = [0_u64; SLOTS];
        let mut sizes = [0_u64; SLOTS];
        let mut end = HEADER;
        for (slot, (_, bytes)) in sections.iter().enumerate() {
            offsets[slot] = wide(end);
            sizes[slot] = wide(bytes.len());
            end += SECTION_HEADER + bytes.len();
        }

        let mut file = Vec::with_capacity(end);
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&VERSION.to_be_bytes());
        let flags = match self.architecture {
            Architecture::X86_64 => 0,
            Architecture::Arm64 => ARM64,
        };
        file.extend_from_slice(&flags.to_be_bytes());
        file.extend_from_slice(&self.default_memory.to_be_bytes());
        file.extend_from_slice(&self.default_cpus.to_be_bytes());
        file.extend_from_slice(&[0; 2]);
        file.extend_from_slice(&count.to_be_bytes());
        for number in offsets.iter().chain(&sizes) {
            file.extend_from_slice(&number.to_be_bytes());
        }
        file.extend_from_slice(&[0; 8]);
        for (kind, bytes) in &sections {
            file.extend_from_slice(&kind.code().to_be_bytes());
            file.extend_from_slice(&[0; 2]);
            file.extend_from_slice(&wide(bytes.len()).to_be_bytes());
            file.extend_from_slice(bytes);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[..BEFORE_CHECKSUM]);
        crc.update(&file[HEADER..]);
        file[BEFORE_CHECKSUM..HEADER].copy_from_slice(&crc.finalize().to_be_bytes());
        Eif::parse(&file)?;
        Ok(file)
    }
}
