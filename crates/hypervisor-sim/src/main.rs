//! `entente-hypervisor-sim`: a simulated Nitro hypervisor for development and tests. See the library of this name.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use entente_attestation::Digest384;
use entente_hypervisor_sim::{
    CaIdentity, CertificateAuthority, Clock, Console, Isolation, Machine, NsmDevice, ParentInstance,
    Registers, inside,
};
use entente_image::{Eif, ImageMeasurements, pcr3_of_role, pcr4_of_instance};
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Largest image that is read into memory.
const IMAGE_LIMIT: u64 = 1 << 30;

/// A SIMULATED Nitro hypervisor: an NSM, its certificate authority and a vsock for development and tests.
///
/// Nothing that it signs is worth anything outside of this machine, and it isolates an enclave from nobody who
/// can use this machine.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  \
    entente-hypervisor-sim ca --dir ca\n  \
    entente-hypervisor-sim run --image auction.eif --ca ca --vsock run/vsock --memory-mib 512"
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a certificate authority: root.key (0600), root.pem, root.der. Prints the SHA-256 of the certificate, which
    /// an agreement names as root = "simulated:HEX". Never overwrites.
    Ca {
        /// Directory for the files; made if it is not there.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Measure an image and run its program as a process. Prints one JSON line when it runs and one at its end, and
    /// exits with the program's code (128 + n if signal n ended it).
    Run {
        /// The enclave image.
        #[arg(long)]
        image: PathBuf,
        /// Directory of the certificate authority.
        #[arg(long)]
        ca: PathBuf,
        /// Unix socket at which the enclave's vsock is reached (CONNECT 5005). Its files are unpacked beside it, into
        /// the same path with `.d` appended.
        #[arg(long)]
        vsock: PathBuf,
        /// The enclave's memory in MiB; at least 64.
        #[arg(long)]
        memory_mib: u32,
        /// ARN of the parent instance's IAM role (PCR3); without it PCR3 is zero.
        #[arg(long)]
        parent_role: Option<String>,
        /// Id of the parent instance (PCR4, part of the module id).
        #[arg(long, default_value = "i-00000000000000000")]
        instance_id: String,
        /// Region in the certificates' names.
        #[arg(long, default_value = "local-1")]
        region: String,
        /// Context id to report. Nothing is reached by it.
        #[arg(long, default_value_t = 16)]
        cid: u32,
        /// Show the enclave's standard output and error on this program's standard error.
        #[arg(long)]
        console: bool,
        /// Start the program as an ordinary process even where namespaces could be had.
        #[arg(long)]
        no_isolation: bool,
        /// Stop the enclave when standard input ends: a parent that keeps a pipe to it takes the enclave with it,
        /// however it ends.
        #[arg(long)]
        stop_with_stdin: bool,
    },
}

fn main() -> ExitCode {
    // Before anything else: these steps must not have opened anything.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((step, rest)) = arguments.split_first()
        && let Some(code) = step.to_str().and_then(|step| inside_step(step, rest))
    {
        return code;
    }
    let action = Arguments::parse().command;
    match act(action) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "entente-hypervisor-sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn inside_step(step: &str, rest: &[OsString]) -> Option<ExitCode> {
    // As a shell says it of a program that cannot be run.
    const NOT_RUN: u8 = 126;
    let failed = |error: &dyn std::fmt::Display| {
        let _ = writeln!(io::stderr(), "entente-hypervisor-sim: the enclave did not start: {error}");
        ExitCode::from(NOT_RUN)
    };
    let start = || inside::Start::from_arguments(rest);
    Some(match step {
        inside::PROBE => ExitCode::SUCCESS,
        inside::CHILD => match start() {
            Some(start) => failed(&inside::child(&start)),
            None => failed(&"wrong arguments"),
        },
        inside::INIT => match start() {
            Some(start) => match inside::init(&start) {
                Ok(code) => ExitCode::from(code),
                Err(error) => failed(&error),
            },
            None => failed(&"wrong arguments"),
        },
        _ => return None,
    })
}

fn act(action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Ca { dir } => {
            let authority = CertificateAuthority::create(&dir, Clock::System.now())?;
            writeln!(io::stdout(), "{}", authority.fingerprint())?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Run {
            image,
            ca,
            vsock,
            memory_mib,
            parent_role,
            instance_id,
            region,
            cid,
            console,
            no_isolation,
            stop_with_stdin,
        } => {
            let file = read_image(&image)?;
            let eif = Eif::parse(&file).with_context(|| image.display().to_string())?;
            let measured = eif.measure();
            // Hardware does not boot an image whose signature is not over what it measured.
            if let Some(signature) = eif.signature() {
                signature.verify(measured.pcr0()).with_context(|| image.display().to_string())?;
            }
            let mut parent = ParentInstance::new(&instance_id);
            if let Some(role) = &parent_role {
                parent = parent.with_role(role);
            }
            let authority = CertificateAuthority::open(&ca)?;
            let module_id = format!("{instance_id}-enc{}", enclave_id()?);
            let device = NsmDevice::new(
                &module_id,
                Registers::at_boot(&measured, &parent),
                Box::new(CaIdentity::new(&authority, &region)),
                Clock::System,
            );
            let launcher = std::env::current_exe()?;
            let mut machine = Machine::new(&eif, Box::new(device), &launcher, &vsock, memory_mib);
            if console {
                machine = machine.console(Console::Shown);
            }
            if no_isolation {
                machine = machine.isolation(Isolation::None);
            }

            let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
            let running = machine.start()?;
            let stopper = running.stopper();
            thread::spawn(move || {
                for _ in &mut signals {
                    stopper.stop();
                }
            });
            let _ =
                writeln!(io::stderr(), "SIMULATED enclave {module_id}: {}", running.isolation().describe());
            if stop_with_stdin {
                let stopper = running.stopper();
                thread::spawn(move || {
                    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
                    stopper.stop();
                });
            }
            say(&json!({
                "state": "running",
                "cid": cid,
                "module_id": module_id,
                "measurements": measurements(&measured, parent_role.as_deref(), &instance_id),
                "platform": "local",
                "simulated": true,
            }));
            let code = running.wait()?;
            say(&json!({ "state": "exited", "code": code }));
            Ok(ExitCode::from(code))
        }
    }
}

fn read_image(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(IMAGE_LIMIT + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| path.display().to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > IMAGE_LIMIT) {
        bail!("{}: larger than 1 GiB", path.display());
    }
    Ok(bytes)
}

/// The registers that are not zero.
fn measurements(image: &ImageMeasurements, role: Option<&str>, instance: &str) -> Value {
    let mut map = Map::new();
    let mut add = |name: &str, value: &Digest384| map.insert(name.to_owned(), Value::from(value.to_string()));
    add("pcr0", image.pcr0());
    add("pcr1", image.pcr1());
    add("pcr2", image.pcr2());
    if let Some(role) = role {
        add("pcr3", &pcr3_of_role(role));
    }
    add("pcr4", &pcr4_of_instance(instance));
    if let Some(certificate) = image.pcr8() {
        add("pcr8", certificate);
    }
    Value::Object(map)
}

/// Sixteen hex digits that differ from start to start.
fn enclave_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(hex::encode(bytes))
}

/// One line for the program that started this one. That it reads no more is no reason to end.
fn say(line: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
