//! Our standard layout of an image that holds one program.

use crate::builder::{BuildError, EifBuilder};
use crate::eif::{Architecture, Eif};
use crate::measure::ImageMeasurements;
use crate::metadata::Metadata;
use crate::ramdisk::{Mode, RamdiskBuilder};

/// Where the program lies in the image (as `/app`).
pub const PROGRAM: &str = "app";

/// The kernel's command line in every image of ours; it is measured. No console, no modules, end at once on panic.
pub const COMMAND_LINE: &str =
    "reboot=k panic=1 oops=panic pci=off nomodule random.trust_cpu=on quiet loglevel=0 rdinit=/init";

/// What stands in place of a kernel in an image that was built without one. It is measured like a kernel, so such
/// an image can never pass for one that boots.
pub const LOCAL_ONLY_KERNEL: &[u8] = b"Entente: this image holds no kernel.\n\
It runs on the platform \"local\" only, where its program is started as an ordinary process,\n\
SIMULATED and without isolation. It does not boot on \"qemu\" or \"nitro\".\n";

/// Memory that an image of ours proposes, in bytes: 512 MiB. What a run gets is the agreement's `memory_mib`.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// The kernel of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel<'a> {
    /// None: the image runs on platform `local` only, and [`LOCAL_ONLY_KERNEL`] says so in its place.
    LocalOnly,
    /// A bootable kernel (bzImage on x86-64, Image on arm64).
    Bootable {
        /// The kernel's file.
        image: &'a [u8],
        /// Its version, for the metadata.
        version: &'a str,
    },
}

/// One program, and how to put it into an image.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    name: &'a str,
    version: &'a str,
    program: &'a [u8],
    kernel: Kernel<'a>,
    init: Option<&'a [u8]>,
    architecture: Architecture,
    build_time: Option<&'a str>,
}

impl<'a> Application<'a> {
    /// A program for x86-64, without a kernel. Name and version go into the metadata, which is not measured.
    pub fn new(name: &'a str, version: &'a str, program: &'a [u8]) -> Self {
        Self {
            name,
            version,
            program,
            kernel: Kernel::LocalOnly,
            init: None,
            architecture: Architecture::X86_64,
            build_time: None,
        }
    }

    /// Sets the kernel.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel<'a>) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets the program that the kernel starts as process 1 (`/init` of the first ramdisk).
    #[must_use]
    pub fn init(mut self, init: &'a [u8]) -> Self {
        self.init = Some(init);
        self
    }

    /// Sets the processor.
    #[must_use]
    pub fn architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = architecture;
        self
    }

    /// Writes a build time into the metadata instead of 1970. Images then differ as their times do; PCRs do not.
    #[must_use]
    pub fn build_time(mut self, time: &'a str) -> Self {
        self.build_time = Some(time);
        self
    }
}

/// An image that was built here, and its measurements.
///
/// Its layout: ramdisk 0 has the empty directories `dev`, `proc`, `sys`, `tmp` and, where given, `init` (0555);
/// ramdisk 1 has the program as `app` (0555) and the same directories, so that it stands alone on platform `local`.
/// Everything is owned by user 0 and dated 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveImage {
    bytes: Vec<u8>,
    measurements: ImageMeasurements,
}

impl EnclaveImage {
    /// Builds the standard image of one program. The same arguments give the same bytes.
    ///
    /// # Errors
    ///
    /// [`BuildError::EmptyProgram`], or another [`BuildError`] if a part is too large.
    pub fn application(application: &Application<'_>) -> Result<Self, BuildError> {
        if application.program.is_empty() {
            return Err(BuildError::EmptyProgram);
        }
        let mut boot = directories()?;
        if let Some(init) = application.init {
            boot = boot.file("init", Mode::READ_EXECUTE, init)?;
        }
        let boot = boot.build()?;
        let program = directories()?.file(PROGRAM, Mode::READ_EXECUTE, application.program)?.build()?;

        let (kernel, kernel_version) = match application.kernel {
            Kernel::LocalOnly => (LOCAL_ONLY_KERNEL, "none (platform local only)"),
            Kernel::Bootable { image, version } => (image, version),
        };
        let mut metadata =
            Metadata::new(application.name, application.version).with_system("Entente", kernel_version);
        if let Some(time) = application.build_time {
            metadata = metadata.with_build_time(time);
        }
        let bytes = EifBuilder::new(kernel, COMMAND_LINE, &metadata)
            .architecture(application.architecture)
            .default_memory(DEFAULT_MEMORY)
            .ramdisk(&boot)
            .ramdisk(&program)
            .build()?;
        let measurements = Eif::parse(&bytes)?.measure();
        Ok(Self { bytes, measurements })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's bytes, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What hardware will measure.
    pub fn measurements(&self) -> &ImageMeasurements {
        &self.measurements
    }
}

/// Mount points and a place for temporary files. Nothing is in them.
fn directories<'a>() -> Result<RamdiskBuilder<'a>, BuildError> {
    let mut ramdisk = RamdiskBuilder::new();
    for path in ["dev", "proc", "sys", "tmp"] {
        ramdisk = ramdisk.directory(path, Mode::OWNER)?;
    }
    Ok(ramdisk)
}
