//! The reader of EIF version 4 (AWS image-format, `src/defs/mod.rs`).

use core::fmt;

use crate::measure::ImageMeasurements;
use crate::metadata::{Metadata, MetadataError};
use crate::signature::{ImageSignature, SignatureError};

/// Bytes of the file header.
pub(crate) const HEADER: usize = 548;
/// Bytes of the header that precede the checksum, which is its last field.
pub(crate) const BEFORE_CHECKSUM: usize = 544;
/// Bytes before each section.
pub(crate) const SECTION_HEADER: usize = 12;
/// Slots in the header's two tables (`MAX_NUM_SECTIONS`).
pub(crate) const SLOTS: usize = 32;
pub(crate) const MAGIC: [u8; 4] = *b".eif";
pub(crate) const VERSION: u16 = 4;
/// Bit 0 of the header's flags (`EIF_HDR_ARCH_ARM64`).
pub(crate) const ARM64: u16 = 1;
const OFFSETS: usize = 28;
const SIZES: usize = OFFSETS + 8 * SLOTS;

/// Longest command line: `COMMAND_LINE_SIZE` of Linux on x86-64 and arm64 is 2048 with its NUL; twice that is
/// still read, so that a longer one is described rather than refused as damage.
const COMMAND_LINE_LIMIT: u64 = 4096;
/// Largest metadata section: room for a bill of materials; it is parsed into memory, so it is bounded.
const METADATA_LIMIT: u64 = 4 << 20;
/// Largest signature section: a certificate in PEM and one COSE signature, each byte as a CBOR integer of up to
/// two bytes. AWS's own is below 4 KiB.
const SIGNATURE_LIMIT: u64 = 256 << 10;

/// The processor that an image is for. Not measured: it is one bit of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Arm64,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

/// What a section holds (`EifSectionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SectionKind {
    /// 1: the kernel; exactly one, first of the measured ones.
    Kernel,
    /// 2: the kernel's command line, without a NUL; exactly one.
    CommandLine,
    /// 3: a ramdisk; at least one. The first belongs to the boot, the others to the application.
    Ramdisk,
    /// 4: signature over PCR0; at most one.
    Signature,
    /// 5: JSON about the build; at most one. Not measured.
    Metadata,
}

impl SectionKind {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::CommandLine => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

    const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Kernel),
            2 => Some(Self::CommandLine),
            3 => Some(Self::Ramdisk),
            4 => Some(Self::Signature),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }

    const fn limit(self) -> u64 {
        match self {
            Self::Kernel | Self::Ramdisk => u64::MAX,
            Self::CommandLine => COMMAND_LINE_LIMIT,
            Self::Signature => SIGNATURE_LIMIT,
            Self::Metadata => METADATA_LIMIT,
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        })
    }
}

/// One section of an image, borrowed from the file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    kind: SectionKind,
    offset: u64,
    bytes: &'a [u8],
}

impl<'a> Section<'a> {
    /// What the section holds.
    pub fn kind(&self) -> SectionKind {
        self.kind
    }

    /// Where its 12-byte header begins in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its contents, without the header.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Why bytes are not an enclave image that this reader accepts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EifError {
    /// The file ends inside the header.
    #[error("the file has {found} bytes; the header of an enclave image alone has 548")]
    HeaderTruncated {
        /// Length of the file in bytes.
        found: usize,
    },
    /// The first four bytes are not `.eif`.
    #[error("not an enclave image: it begins with {found:02x?} instead of \".eif\"")]
    Magic {
        /// The bytes found.
        found: [u8; 4],
    },
    /// Another version of the format.
    #[error("enclave image format version {found}; only version 4 is read")]
    Version {
        /// The version found.
        found: u16,
    },
    /// A header flag without a meaning known here.
    #[error("unknown header flags {found:#06x}")]
    HeaderFlags {
        /// All flags of the header.
        found: u16,
    },
    /// A field that the format leaves unused is not zero.
    #[error("an unused field of the header is not zero")]
    UnusedField,
    /// The number of sections is zero or above 32.
    #[error("{found} sections; an enclave image has 1 to 32")]
    SectionCount {
        /// The count found.
        found: u16,
    },
    /// The tables hold an offset or size behind the last section.
    #[error("slot {index} of the section tables is in use behind the last section")]
    UnusedSlot {
        /// Which slot, from 0.
        index: usize,
    },
    /// A section begins before the end of what precedes it.
    #[error("section {index} begins at byte {found}, inside what precedes it (which ends at {expected})")]
    Overlap {
        /// Which section, from 0.
        index: usize,
        /// Where the preceding part ends.
        expected: u64,
        /// The offset found.
        found: u64,
    },
    /// Bytes that belong to no section lie before a section.
    #[error("section {index} begins at byte {found}; nothing accounts for the bytes from {expected} on")]
    Gap {
        /// Which section, from 0.
        index: usize,
        /// Where the preceding part ends.
        expected: u64,
        /// The offset found.
        found: u64,
    },
    /// A section claims more bytes than the file has.
    #[error("section {index} claims {size} bytes; the file has {available} left")]
    SectionTruncated {
        /// Which section, from 0.
        index: usize,
        /// Bytes claimed by the header's table.
        size: u64,
        /// Bytes left in the file after the section's own header (0 if that is cut off too).
        available: u64,
    },
    /// The section's own header and the file header's table give two sizes.
    #[error("section {index} has two sizes: {table} in the table, {section} in its own header")]
    SizeMismatch {
        /// Which section, from 0.
        index: usize,
        /// Size in the table of the file header.
        table: u64,
        /// Size in the section's header.
        section: u64,
    },
    /// An unknown section type.
    #[error("section {index} is of unknown type {found}")]
    SectionType {
        /// Which section, from 0.
        index: usize,
        /// The type found.
        found: u16,
    },
    /// A section flag without a meaning known here.
    #[error("section {index} has unknown flags {found:#06x}")]
    SectionFlags {
        /// Which section, from 0.
        index: usize,
        /// The flags found.
        found: u16,
    },
    /// A section is larger than its kind may be.
    #[error("the {kind} section has {found} bytes; the limit is {limit}")]
    SectionTooLarge {
        /// Kind of the section.
        kind: SectionKind,
        /// Largest size accepted, in bytes.
        limit: u64,
        /// The size found.
        found: u64,
    },
    /// Kernel, command line, ramdisks do not come in this order, so that readers would measure differently.
    #[error("section {index} ({kind}) is out of order: kernel, command line, ramdisks is the measured order")]
    OutOfOrder {
        /// Which section, from 0.
        index: usize,
        /// Kind of that section.
        kind: SectionKind,
    },
    /// A section that may be there once is there again.
    #[error("section {index} is a second {kind}")]
    Repeated {
        /// Which section, from 0.
        index: usize,
        /// Kind of that section.
        kind: SectionKind,
    },
    /// A section that must be there is not.
    #[error("the image has no {kind}")]
    Missing {
        /// What is missing.
        kind: SectionKind,
    },
    /// The kernel has no bytes.
    #[error("the kernel is empty")]
    EmptyKernel,
    /// The command line holds a NUL, where a loader would end it and the measurement would not.
    #[error("the command line has a NUL byte at {position}")]
    CommandLineNul {
        /// Where, in bytes from its begin.
        position: usize,
    },
    /// Bytes follow the last section.
    #[error("{found} bytes follow the last section")]
    TrailingBytes {
        /// How many.
        found: u64,
    },
    /// The CRC-32 in the header is not that of the file.
    #[error("checksum {stated:08x} in the header, {computed:08x} over the file: the file is damaged")]
    Checksum {
        /// What the header states.
        stated: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The signature section cannot be read.
    #[error("signature section: {0}")]
    Signature(#[from] SignatureError),
}

/// An enclave image whose structure has been checked whole: sections are contiguous, in order, complete, of known
/// kinds, and the checksum fits. It borrows the file's bytes.
///
/// # Security
///
/// This says that the file is well-formed and what it measures to, not that anybody trusts it: compare
/// [`Eif::measure`] with measurements that were agreed on.
#[derive(Clone, Debug)]
pub struct Eif<'a> {
    architecture: Architecture,
    default_memory: u64,
    default_cpus: u64,
    checksum: u32,
    sections: Vec<Section<'a>>,
    signature: Option<ImageSignature>,
}

impl<'a> Eif<'a> {
    /// Reads an image. Memory used is at most 32 section records and the signing certificate.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in file order: header, then each section, then the whole.
    pub fn parse(file: &'a [u8]) -> Result<Self, EifError> {
        let header = file.first_chunk::<HEADER>().ok_or(EifError::HeaderTruncated { found: file.len() })?;
        let field = Fields(header);
        let magic = field.array(0);
        if magic != MAGIC {
            return Err(EifError::Magic { found: magic });
        }
        let version = field.u16(4);
        if version != VERSION {
            return Err(EifError::Version { found: version });
        }
        let flags = field.u16(6);
        let architecture = match flags {
            0 => Architecture::X86_64,
            ARM64 => Architecture::Arm64,
            found => return Err(EifError::HeaderFlags { found }),
        };
        let stated = field.u32(BEFORE_CHECKSUM);
        if field.u16(24) != 0 || field.u32(540) != 0 {
            return Err(EifError::UnusedField);
        }
        let found = field.u16(26);
        let count = usize::from(found);
        if count == 0 || count > SLOTS {
            return Err(EifError::SectionCount { found });
        }
        if let Some(index) =
            (count..SLOTS).find(|i| field.u64(OFFSETS + 8 * i) != 0 || field.u64(SIZES + 8 * i) != 0)
        {
            return Err(EifError::UnusedSlot { index });
        }

        let mut sections = Vec::with_capacity(count);
        let mut rest = &file[HEADER..];
        for index in 0..count {
            let expected = wide(file.len() - rest.len());
            let found = field.u64(OFFSETS + 8 * index);
            if found < expected {
                return Err(EifError::Overlap { index, expected, found });
            }
            if found > expected {
                return Err(EifError::Gap { index, expected, found });
            }
            let (section, after) = section(index, found, field.u64(SIZES + 8 * index), rest)?;
            sections.push(section);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(EifError::TrailingBytes { found: wide(rest.len()) });
        }
        let signature = composition(&sections)?;

        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[..BEFORE_CHECKSUM]);
        crc.update(&file[HEADER..]);
        let computed = crc.finalize();
        if stated != computed {
            return Err(EifError::Checksum { stated, computed });
        }
        let signature = signature.map(ImageSignature::parse).transpose()?;
        Ok(Self {
            architecture,
            default_memory: field.u64(8),
            default_cpus: field.u64(16),
            checksum: stated,
            sections,
            signature,
        })
    }

    /// The processor that the image is for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Memory in bytes that the image's builder proposed. Not measured, and nothing obeys it.
    pub fn default_memory(&self) -> u64 {
        self.default_memory
    }

    /// Number of processors that the image's builder proposed. Not measured, and nothing obeys it.
    pub fn default_cpus(&self) -> u64 {
        self.default_cpus
    }

    /// The CRC-32 of the file; it has been checked. It finds damage, not malice.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// All sections in file order.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The kernel's bytes.
    pub fn kernel(&self) -> &'a [u8] {
        self.one(SectionKind::Kernel)
    }

    /// The kernel's command line, without a NUL.
    pub fn command_line(&self) -> &'a [u8] {
        self.one(SectionKind::CommandLine)
    }

    /// The ramdisks in file order. The first belongs to the boot (PCR1), the others to the application (PCR2).
    pub fn ramdisks(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.sections.iter().filter(|s| s.kind == SectionKind::Ramdisk).map(|s| s.bytes)
    }

    /// The metadata section as written, where there is one. Not measured: it can say anything.
    pub fn metadata_bytes(&self) -> Option<&'a [u8]> {
        self.sections.iter().find(|s| s.kind == SectionKind::Metadata).map(|s| s.bytes)
    }

    /// The metadata section parsed, where there is one.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if it is not the JSON that AWS's tools write. Nothing else depends on it.
    pub fn metadata(&self) -> Result<Option<Metadata>, MetadataError> {
        self.metadata_bytes().map(Metadata::parse).transpose()
    }

    /// The signature section, where there is one. It has been parsed, not verified.
    pub fn signature(&self) -> Option<&ImageSignature> {
        self.signature.as_ref()
    }

    /// What hardware would put into PCR0, PCR1, PCR2 and PCR8 for this image.
    pub fn measure(&self) -> ImageMeasurements {
        ImageMeasurements::of(self)
    }

    /// The one section of a kind whose presence the parser has established.
    fn one(&self, kind: SectionKind) -> &'a [u8] {
        self.sections.iter().find(|s| s.kind == kind).map_or(&[], |s| s.bytes)
    }
}

/// Reads the section at the begin of `rest`; gives it and what follows.
fn section(index: usize, offset: u64, size: u64, rest: &[u8]) -> Result<(Section<'_>, &[u8]), EifError> {
    let (head, body) = rest.split_first_chunk::<SECTION_HEADER>().ok_or(EifError::SectionTruncated {
        index,
        size,
        available: 0,
    })?;
    let [k0, k1, f0, f1, size_bytes @ ..] = *head;
    let code = u16::from_be_bytes([k0, k1]);
    let kind = SectionKind::from_code(code).ok_or(EifError::SectionType { index, found: code })?;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags != 0 {
        return Err(EifError::SectionFlags { index, found: flags });
    }
    let own = u64::from_be_bytes(size_bytes);
    if own != size {
        return Err(EifError::SizeMismatch { index, table: size, section: own });
    }
    if size > kind.limit() {
        return Err(EifError::SectionTooLarge { kind, limit: kind.limit(), found: size });
    }
    let (bytes, after) = usize::try_from(size)
        .ok()
        .and_then(|size| body.split_at_checked(size))
        .ok_or(EifError::SectionTruncated { index, size, available: wide(body.len()) })?;
    Ok((Section { kind, offset, bytes }, after))
}

/// Checks that the sections make an image; gives the signature section's bytes.
fn composition<'a>(sections: &[Section<'a>]) -> Result<Option<&'a [u8]>, EifError> {
    let mut seen = Vec::with_capacity(sections.len());
    let mut signature = None;
    for (index, section) in sections.iter().enumerate() {
        let kind = section.kind;
        if kind != SectionKind::Ramdisk && seen.contains(&kind) {
            return Err(EifError::Repeated { index, kind });
        }
        // AWS's reader hashes in file order, QEMU's by kind: they agree only on this order.
        let before = match kind {
            SectionKind::CommandLine => Some(SectionKind::Kernel),
            SectionKind::Ramdisk => Some(SectionKind::CommandLine),
            _ => None,
        };
        if before.is_some_and(|before| !seen.contains(&before)) {
            return Err(EifError::OutOfOrder { index, kind });
        }
        match kind {
            SectionKind::Kernel if section.bytes.is_empty() => return Err(EifError::EmptyKernel),
            SectionKind::CommandLine => {
                if let Some(position) = section.bytes.iter().position(|&b| b == 0) {
                    return Err(EifError::CommandLineNul { position });
                }
            }
            SectionKind::Signature => signature = Some(section.bytes),
            _ => {}
        }
        seen.push(kind);
    }
    for kind in [SectionKind::Kernel, SectionKind::CommandLine, SectionKind::Ramdisk] {
        if !seen.contains(&kind) {
            return Err(EifError::Missing { kind });
        }
    }
    Ok(signature)
}

/// Big-endian fields of the header; positions are constants below its length.
struct Fields<'a>(&'a [u8; HEADER]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.0[at..at + N]);
        out
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }
}

/// A length in memory as a length in the file.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
