//! `entente attest`: read and verify attestation documents.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use entente_attestation::explain::{Explain, Explanation, Fact, facts, facts_unverified};
use entente_attestation::{
    AnchorError, AuthenticDocument, Measurements, RootKind, SignedDocument, TrustAnchor, UnixTime,
};
use entente_image::Eif;

use super::files;
use crate::output::{Misuse, Output, Verdict, hex};

/// What is read of a document's file, in bytes; a document has at most 16 KiB of payload.
const DOCUMENT_LIMIT: u64 = 64 << 10;

/// Read and verify attestation documents.
#[derive(Subcommand)]
pub(crate) enum Attest {
    /// Judge a document: who signed it, and was it valid at a given time
    ///
    /// Exit code 0: authentic. 1: refused, or debug mode. 2: misuse. An authentic document says what code an enclave
    /// runs, not that it is the code you expect: compare the measurements, or name the image with --image.
    ///
    /// Example: entente attest verify document.cose --at now --json
    Verify(Verify),
    /// Print what a document says, for people; nothing is verified
    ///
    /// Example: entente attest show document.cose
    Show {
        /// The document (COSE_Sign1, as the NSM returns it)
        file: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The document (COSE_Sign1, as the NSM returns it); `-` is standard input
    file: PathBuf,
    /// The time to verify for: `now`, `document` (its own: "was it authentic when it was made?"), or an RFC 3339 time in Z
    #[arg(long, value_name = "document|now|TIME")]
    at: At,
    /// A root certificate (PEM or DER) to trust instead of AWS's; everything under it is SIMULATED
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// An image (EIF) whose PCR0, PCR1 and PCR2 the document must have
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// The time a document is judged for.
#[derive(Clone, Copy)]
enum At {
    Document,
    Now,
    Time(UnixTime),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "document" => Ok(Self::Document),
            "now" => Ok(Self::Now),
            time => UnixTime::parse_rfc3339(time).map(Self::Time).map_err(|error| {
                format!("{error}; write `document`, `now`, or a time such as 2026-01-31T12:00:00Z")
            }),
        }
    }
}

impl Attest {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Verify(verify) => verify.run(output),
            Self::Show { file } => show(&file, output),
        }
    }
}

impl Verify {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let anchor = anchor(self.root.as_deref())?;
        let expected = self.image.as_deref().map(measurements_of).transpose()?;
        let bytes = files::read_beginning(&self.file, DOCUMENT_LIMIT)?;
        let document = match judge(&bytes, &anchor, self.at) {
            Ok(document) => document,
            Err(refusal) => return Ok(refuse("refused", &refusal.name, &refusal.explanation, output)),
        };
        output.fact("root", root_name(document.root()));
        output.fact("simulated", document.root() == RootKind::Simulated);
        output.fact("module_id", document.module_id());
        output.fact("timestamp", document.timestamp().to_string());
        output.fact("verified_at", document.verified_at().to_string());
        for (name, field) in [
            ("public_key", document.public_key()),
            ("user_data", document.user_data()),
            ("nonce", document.nonce()),
        ] {
            output.fact(name, field.map(hex));
        }
        let registers: serde_json::Map<_, _> = document
            .pcrs()
            .map(|(index, value)| (index.number().to_string(), value.to_string().into()))
            .collect();
        output.fact("pcrs", registers);
        print_facts(&facts(&document, now()), output);
        let measurements = match document.measurements() {
            Ok(measurements) => measurements,
            Err(debug) => return Ok(refuse("debug-mode", "DebugMode", &debug.explain(), output)),
        };
        if let Some(expected) = expected {
            let wrong = differing(&expected, &measurements);
            if !wrong.is_empty() {
                let explanation = Explanation { problem: wrong.join("\n"), advice: OTHER_CODE.to_owned() };
                return Ok(refuse("refused", "PcrDiffers", &explanation, output));
            }
        }
        output.fact("verdict", "authentic");
        output.fact("error", serde_json::Value::Null);
        output.fact("measurements", measurements_json(&measurements));
        let simulated = if document.root() == RootKind::Simulated { "SIMULATED: " } else { "" };
        output.line(format_args!(
            "{simulated}authentic: {} signed it, valid at {}",
            root_name(document.root()),
            document.verified_at()
        ));
        Ok(Verdict::Good)
    }
}

const OTHER_CODE: &str = "The enclave runs other code than this image. Rebuild the image and compare.";

/// A refusal, by the name of its error variant and in words.
struct Refusal {
    name: String,
    explanation: Explanation,
}

impl<E: Explain + std::fmt::Debug> From<E> for Refusal {
    fn from(error: E) -> Self {
        let debug = format!("{error:?}");
        let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned();
        Self { name, explanation: error.explain() }
    }
}

fn judge(bytes: &[u8], anchor: &TrustAnchor, at: At) -> Result<AuthenticDocument, Refusal> {
    let document = SignedDocument::parse(bytes)?;
    let at = match at {
        At::Document => document.timestamp_unverified(),
        At::Now => now(),
        At::Time(time) => time,
    };
    Ok(document.authenticate(anchor, at)?)
}

fn refuse(verdict: &str, error: &str, explanation: &Explanation, output: &mut Output) -> Verdict {
    output.fact("verdict", verdict);
    output.fact("error", error);
    output.fact("problem", &explanation.problem);
    output.fact("advice", &explanation.advice);
    output.fact("measurements", serde_json::Value::Null);
    output.line(format_args!("{verdict}: {}\n{}", explanation.problem, explanation.advice));
    Verdict::Bad
}

fn show(file: &Path, output: &mut Output) -> Result<Verdict> {
    let bytes = files::read_beginning(file, DOCUMENT_LIMIT)?;
    match SignedDocument::parse(&bytes) {
        Ok(document) => {
            print_facts(&facts_unverified(&document), output);
            output.fact("verified", false);
            output.fact("module_id", document.module_id_unverified());
            output.fact("timestamp", document.timestamp_unverified().to_string());
            let registers: serde_json::Map<_, _> = document
                .pcrs_unverified()
                .map(|(index, value)| (index.number().to_string(), value.to_string().into()))
                .collect();
            output.fact("pcrs", registers);
            Ok(Verdict::Good)
        }
        Err(error) => {
            let refusal = Refusal::from(error);
            Ok(refuse("refused", &refusal.name, &refusal.explanation, output))
        }
    }
}

fn print_facts(facts: &[Fact], output: &mut Output) {
    for fact in facts {
        output.line(format_args!("{:12} {}", fact.label, fact.value));
    }
}

fn differing(expected: &Measurements, found: &Measurements) -> Vec<String> {
    [
        ("PCR0", expected.pcr0(), found.pcr0()),
        ("PCR1", expected.pcr1(), found.pcr1()),
        ("PCR2", expected.pcr2(), found.pcr2()),
    ]
    .into_iter()
    .filter(|(_, expected, found)| expected != found)
    .map(|(name, expected, found)| format!("{name} differs\n  expected {expected}\n  found    {found}"))
    .collect()
}

/// The trust anchor: AWS's, or the one in the file that the user named.
pub(crate) fn anchor(root: Option<&Path>) -> Result<TrustAnchor> {
    let Some(path) = root else { return Ok(TrustAnchor::aws_nitro()) };
    match TrustAnchor::simulated(&certificate(path)?) {
        Ok(anchor) => Ok(anchor),
        // Whoever names AWS's root by file gets AWS's root: that is not simulated.
        Err(AnchorError::IsAwsNitro) => Ok(TrustAnchor::aws_nitro()),
        Err(error) => Err(anyhow!(Misuse(format!("{}: {error}", path.display())))),
    }
}

/// A certificate's DER, from PEM or DER.
pub(crate) fn certificate(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path, DOCUMENT_LIMIT)?;
    let der = if bytes.starts_with(b"-----BEGIN") { from_pem(&bytes) } else { Some(bytes) };
    der.ok_or_else(|| Misuse(format!("{} holds no certificate in PEM", path.display())).into())
}

fn from_pem(text: &[u8]) -> Option<Vec<u8>> {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateDer::from_pem_slice(text).ok().map(|der| der.to_vec())
}

fn measurements_of(path: &Path) -> Result<Measurements> {
    let bytes = files::read(path, 4 << 30)?;
    let image = Eif::parse(&bytes)
        .map_err(|error| Misuse(format!("{} is not an enclave image: {error}", path.display())))?;
    let measured = image.measure();
    Ok(Measurements::new(*measured.pcr0(), *measured.pcr1(), *measured.pcr2())?)
}

/// Measurements as the agreement names them.
pub(crate) fn measurements_json(measurements: &Measurements) -> serde_json::Value {
    serde_json::json!({
        "pcr0": measurements.pcr0().to_string(),
        "pcr1": measurements.pcr1().to_string(),
        "pcr2": measurements.pcr2().to_string(),
    })
}

/// How a root is named in what people and programs read.
pub(crate) fn root_name(root: RootKind) -> &'static str {
    match root {
        RootKind::AwsNitro => "aws-nitro",
        RootKind::Simulated => "SIMULATED",
    }
}

/// The present, by this machine's clock.
pub(crate) fn now() -> UnixTime {
    let millis = jiff::Timestamp::now().as_millisecond();
    UnixTime::from_millis(u64::try_from(millis).unwrap_or(0))
}
