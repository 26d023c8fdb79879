//! `entente image`: build and measure enclave images.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use entente_image::{Application, Description, Eif, EnclaveImage, ImageMeasurements, Kernel};

use super::files;
use crate::output::{Misuse, Output, Verdict};

/// The largest image that is read, in bytes: 4 GiB is what `nitro-cli` can start in practice.
const IMAGE_LIMIT: u64 = 4 << 30;
/// The largest program or kernel that is put into an image, in bytes.
const PART_LIMIT: u64 = 1 << 30;
/// The platform that enclave programs are built for: static, so that the image needs nothing but the program.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Build and measure enclave images.
#[derive(Subcommand)]
pub(crate) enum Image {
    /// Build an image (EIF) from an enclave program
    ///
    /// The same program gives the same bytes each time. Without --kernel the image runs on the platform `local` only.
    ///
    /// Example: entente image build --package entente-image-auction --out auction.eif
    Build(Build),
    /// Print the measurements of an image: PCR0, PCR1, PCR2, and PCR8 where it is signed
    ///
    /// Example: entente image measure auction.eif --json
    Measure {
        /// The image (EIF)
        file: PathBuf,
    },
    /// Print what is in an image, as `nitro-cli describe-eif` does, with sizes and digests of its sections
    ///
    /// Example: entente image describe auction.eif
    Describe {
        /// The image (EIF)
        file: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Build {
    /// Build this package of the Cargo workspace here, statically, and take its program
    #[arg(long, required_unless_present = "program", conflicts_with = "program")]
    package: Option<String>,
    /// Take this program, which must be static
    #[arg(long)]
    program: Option<PathBuf>,
    /// The name that the image states about itself (not measured)
    #[arg(long, default_value = "entente")]
    name: String,
    /// A kernel (bzImage) to boot the image with on `qemu` or `nitro`
    #[arg(long, requires = "init")]
    kernel: Option<PathBuf>,
    /// The kernel's version, for the metadata
    #[arg(long, requires = "kernel", default_value = "unknown")]
    kernel_version: String,
    /// The init program (process 1) that goes with the kernel
    #[arg(long, requires = "kernel")]
    init: Option<PathBuf>,
    /// Where to write the image; must not exist
    #[arg(long)]
    out: PathBuf,
}

impl Image {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Build(build) => build.run(output),
            Self::Measure { file } => {
                let bytes = files::read(&file, IMAGE_LIMIT)?;
                print(&parse(&file, &bytes)?.measure(), output);
                Ok(Verdict::Good)
            }
            Self::Describe { file } => {
                let bytes = files::read(&file, IMAGE_LIMIT)?;
                describe(&parse(&file, &bytes)?, output)?;
                Ok(Verdict::Good)
            }
        }
    }
}

impl Build {
    fn run(self, output: &mut Output) -> Result<Verdict> {
        let path = match (&self.program, &self.package) {
            (Some(program), _) => program.clone(),
            (None, Some(package)) => compile(package)?,
            (None, None) => return Err(Misuse("name --package or --program".to_owned()).into()),
        };
        let program = files::read(&path, PART_LIMIT)?;
        ensure!(program.starts_with(b"\x7fELF"), "{} is not an ELF program", path.display());
        ensure!(
            !is_dynamic(&program),
            "{} needs a dynamic loader, which an image does not hold: build it for {TARGET}",
            path.display()
        );
        let kernel = self.kernel.as_deref().map(|kernel| files::read(kernel, PART_LIMIT)).transpose()?;
        let init = self.init.as_deref().map(|init| files::read(init, PART_LIMIT)).transpose()?;
        let mut application = Application::new(&self.name, env!("CARGO_PKG_VERSION"), &program);
        if let (Some(kernel), Some(init)) = (&kernel, &init) {
            application = application
                .kernel(Kernel::Bootable { image: kernel, version: &self.kernel_version })
                .init(init);
        }
        let image = EnclaveImage::application(&application).context("cannot build the image")?;
        files::create(&self.out, image.bytes())?;
        output.line(format_args!("wrote {} ({} bytes)", self.out.display(), image.bytes().len()));
        if kernel.is_none() {
            output.line("this image holds no kernel: it runs on the platform `local` only");
        }
        output.fact("file", &self.out);
        output.fact("bytes", image.bytes().len());
        output.fact("bootable", kernel.is_some());
        print(image.measurements(), output);
        Ok(Verdict::Good)
    }
}

/// Build a package for the image's platform and give the path of its program.
fn compile(package: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let done = Command::new(cargo)
        .args(["build", "--locked", "--profile", "enclave", "--target", TARGET, "--package", package])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run cargo; --package needs a checkout of the source and Rust, --program does not")?;
    if !done.status.success() {
        bail!(
            "cargo could not build {package} for {TARGET}; the target comes with `rustup target add {TARGET}`, \
             its C compiler with Debian's package musl-tools"
        );
    }
    // One JSON message a line; the last artifact with an executable is the program.
    let executable = String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back();
    executable.with_context(|| format!("{package} has no program"))
}

/// Whether an ELF file names an interpreter (program header type 3, `PT_INTERP`).
fn is_dynamic(program: &[u8]) -> bool {
    let field = |at: usize, length: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    };
    let headers = || -> Option<bool> {
        let offset = usize::try_from(field(32, 8)?).ok()?;
        let size = usize::try_from(field(54, 2)?).ok()?;
        let count = usize::try_from(field(56, 2)?).ok()?;
        for index in 0..count {
            if field(offset.checked_add(index.checked_mul(size)?)?, 4)? == 3 {
                return Some(true);
            }
        }
        Some(false)
    };
    headers().unwrap_or(true)
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Eif<'a>> {
    Eif::parse(bytes).with_context(|| format!("{} is not an enclave image", path.display()))
}

/// As facts: the members that AWS's `eif_build` prints, and ours as `attest verify` and the agreement name them.
fn print(measurements: &ImageMeasurements, output: &mut Output) {
    output.fact("HashAlgorithm", "Sha384 { ... }");
    let mut ours = serde_json::Map::new();
    let pcr8 = measurements.pcr8();
    let all = [
        ("PCR0", Some(measurements.pcr0())),
        ("PCR1", Some(measurements.pcr1())),
        ("PCR2", Some(measurements.pcr2())),
        ("PCR8", pcr8),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            output.line(format_args!("{name}  {value}"));
            output.fact(name, value.to_string());
            ours.insert(name.to_ascii_lowercase(), value.to_string().into());
        }
    }
    output.fact("measurements", ours);
}

fn describe(image: &Eif<'_>, output: &mut Output) -> Result<()> {
    let description =
        serde_json::to_value(Description::of(image)).context("cannot render the description")?;
    if let serde_json::Value::Object(facts) = &description {
        for (name, value) in facts {
            output.fact(name, value);
        }
    }
    output.line(format_args!("architecture   {:?}", image.architecture()));
    output.line(format_args!("command line   {}", String::from_utf8_lossy(image.command_line())));
    for section in image.sections() {
        output.line(format_args!(
            "section        {:10} at {:>10}, {:>10} bytes",
            section.kind().to_string(),
            section.offset(),
            section.bytes().len()
        ));
    }
    output.line(format_args!(
        "signed         {}",
        if image.signature().is_some() { "yes (not verified)" } else { "no" }
    ));
    let measurements = image.measure();
    let pcr8 = measurements.pcr8().map(ToString::to_string);
    output.line(format_args!("PCR0           {}", measurements.pcr0()));
    output.line(format_args!("PCR1           {}", measurements.pcr1()));
    output.line(format_args!("PCR2           {}", measurements.pcr2()));
    if let Some(pcr8) = pcr8 {
        output.line(format_args!("PCR8           {pcr8}"));
    }
    Ok(())
}
