//! Verdicts and documents in words for people.
//!
//! Nothing here decides anything. Text from a document is shown with control characters escaped, so that it cannot
//! move a terminal's cursor.

use core::fmt::Write as _;

use crate::{
    AnchorError, AppraisalError, AuthenticDocument, AuthenticationError, CborFault, CertificatePosition,
    DebugMode, Field, ParseError, PcrIndex, RootKind, SignedDocument, UnixTime,
};

/// One sentence that says what is wrong, and one that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub advice: String,
}

impl Explanation {
    fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

/// An error that can be explained.
pub trait Explain {
    /// The explanation.
    fn explain(&self) -> Explanation;
}

impl Explain for ParseError {
    fn explain(&self) -> Explanation {
        let advice = match self {
            Self::Algorithm { .. } | Self::AlgorithmMissing => {
                "Only hardware signs with ES384; QEMU's emulated NSM does not sign at all. Ask an enclave on Nitro \
                 hardware, or name the simulated root and use a simulator that signs."
            }
            Self::Cbor { offset: 0, .. } | Self::WrongType { field: Field::Message, .. } => {
                "This is no attestation document. If it is one in base64 or hex, decode it first."
            }
            Self::Cbor { fault: CborFault::Truncated, .. } => {
                "The document was cut off. Fetch it again, and check that all of it was copied."
            }
            Self::TrailingBytes { .. } => {
                "Something was appended, perhaps a line feed in copying. Fetch the document again as it is."
            }
            Self::TooLong { .. } => "Check that this file is the document alone.",
            Self::Missing { .. } | Self::UnknownKey { .. } => {
                "No Nitro hypervisor writes this. If it comes from a mock, it cannot be verified; if it comes from AWS, \
                 the format has changed: report it."
            }
            _ => {
                "The document was damaged or made by something else than a Nitro hypervisor: do not trust it. Fetch it \
                 again."
            }
        };
        Explanation::new(format!("This is not a Nitro attestation document: {self}."), advice)
    }
}

impl Explain for AuthenticationError {
    fn explain(&self) -> Explanation {
        match self {
            Self::RootDiffers { expected, found } => Explanation::new(
                format!(
                    "The document speaks for another root: expected {}, found {}.",
                    hex(expected),
                    hex(found)
                ),
                "If it comes from a simulator, hand over its root explicitly, and trust it for tests only. If it should \
                 come from AWS, refuse it: anybody can make such a document.",
            ),
            Self::Expired { at: CertificatePosition::Leaf, not_after, .. } => Explanation::new(
                format!("The document expired: its leaf certificate was valid until {not_after}."),
                "A document lives three hours. Ask the enclave for a fresh one, with a nonce; to judge an old one for \
                 the time when it was made, say so (`--at document`).",
            ),
            Self::NotYetValid { at: CertificatePosition::Leaf, not_before, asked } => Explanation::new(
                format!(
                    "The document is not valid yet: its leaf certificate begins at {not_before}, checked for {asked}."
                ),
                "Check the clock of this machine and the time that was asked for.",
            ),
            Self::Expired { .. } => Explanation::new(
                format!("The document expired: {self}."),
                "Ask the enclave for a fresh one, with a nonce.",
            ),
            Self::NotYetValid { .. } => Explanation::new(
                format!("The document is not valid yet: {self}."),
                "Check the clock of this machine and the time that was asked for.",
            ),
            Self::DocumentSignature => Explanation::new(
                "The document was changed after it was signed, or never signed by this enclave's hypervisor.",
                "Refuse it. Fetch it again over a road that does not change bytes; if it happens again, somebody \
                 tampers with it.",
            ),
            Self::CertificateSignature { .. } => Explanation::new(
                format!("The chain of certificates is broken: {self}."),
                "Refuse it: a certificate was changed or forged.",
            ),
            Self::WrongModule { module_id, common_name } => Explanation::new(
                format!(
                    "The certificate is for the enclave {}, the document for {}.",
                    shown(common_name),
                    shown(module_id)
                ),
                "Refuse it: the parts of two documents were mixed.",
            ),
            Self::Certificate { .. }
            | Self::WrongIssuer { .. }
            | Self::PathLength { .. }
            | Self::Path { .. } => Explanation::new(
                format!("The chain of certificates is not one of the Nitro PKI: {self}."),
                "Refuse it: no Nitro hypervisor makes such a chain.",
            ),
        }
    }
}

impl Explain for DebugMode {
    fn explain(&self) -> Explanation {
        Explanation::new(
            format!("The enclave runs in DEBUG MODE: {} is all zero.", self.register),
            "It proves nothing about its code, and its host can read its memory. Start it without --debug-mode.",
        )
    }
}

impl Explain for AppraisalError {
    fn explain(&self) -> Explanation {
        match self {
            Self::DebugMode(debug) => debug.explain(),
            Self::PcrDiffers { register, expected, found } => Explanation::new(
                format!(
                    "{register} ({}) differs.\n  expected {expected}\n  found    {found}",
                    register_meaning(*register)
                ),
                match *register {
                    PcrIndex::AGREEMENT => "The enclave is bound to another agreement than this one.",
                    PcrIndex::INPUT_SET => "The enclave is bound to another input set than this one.",
                    PcrIndex::PARENT_ROLE | PcrIndex::PARENT_INSTANCE => {
                        "The enclave runs on another parent instance or role than was agreed."
                    }
                    _ => {
                        "The enclave runs other code than was agreed. Rebuild the image and compare, or sign a new \
                         agreement."
                    }
                },
            ),
            Self::PcrMissing { .. } | Self::PcrUnexpected { .. } => Explanation::new(
                format!("{self}."),
                "The enclave is in another state than this step asks for; do not send it anything.",
            ),
            Self::TooOld { .. } | Self::FromTheFuture { .. } | Self::OutsideWindow { .. } => {
                Explanation::new(
                    format!("The document is from the wrong time: {self}."),
                    "Ask for a fresh one and check this machine's clock; for a receipt, check the agreement's window.",
                )
            }
            Self::NonceDiffers => Explanation::new(
                "The document answers another question: its nonce is not the one that was sent.",
                "Refuse it: it may be a recorded one.",
            ),
            Self::FieldAbsent { .. }
            | Self::FieldPresent { .. }
            | Self::UserDataDiffers { .. }
            | Self::PublicKey => Explanation::new(
                format!("The document is for another purpose: {self}."),
                "Refuse it: a document made for one purpose must never serve another.",
            ),
        }
    }
}

impl Explain for AnchorError {
    fn explain(&self) -> Explanation {
        let advice = match self {
            Self::IsAwsNitro => "Leave the root out: AWS's is the one that is used without it.",
            _ => "Hand over the root certificate that the simulator wrote (root.der).",
        };
        Explanation::new(format!("{self}."), advice)
    }
}

/// One line of a rendered document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub label: &'static str,
    /// What it is.
    pub value: String,
}

/// What an authentic document says, in the order in which a reader wants it: who, what image, when, what is bound,
/// what is missing.
#[must_use]
pub fn facts(document: &AuthenticDocument, now: UnixTime) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut say = |label, value: String| facts.push(Fact { label, value });
    say(
        "signed by",
        match document.root() {
            RootKind::AwsNitro => "AWS Nitro hardware (AWS Nitro Enclaves root G1)".to_owned(),
            RootKind::Simulated => {
                format!("SIMULATED root {} - proves nothing to others", hex(&document.anchor().fingerprint()))
            }
        },
    );
    say("module", shown(document.module_id()));
    say("made at", document.timestamp().to_string());
    say("age", age(document.timestamp(), now));
    match document.measurements() {
        Ok(_) => say("mode", "production".to_owned()),
        Err(DebugMode { register }) => {
            say("mode", format!("DEBUG MODE ({register} is zero): proves nothing about the code"));
        }
    }
    push_claims(
        &mut facts,
        document.pcrs(),
        [
            ("public_key", document.public_key()),
            ("user_data", document.user_data()),
            ("nonce", document.nonce()),
        ],
    );
    for certificate in document.certificates() {
        facts.push(Fact {
            label: "certificate",
            value: format!(
                "{}: {}, valid {} to {}, SHA-256 {}",
                certificate.position(),
                shown(certificate.subject()),
                certificate.not_before(),
                certificate.not_after(),
                hex(&certificate.fingerprint())
            ),
        });
    }
    facts
}

/// What a document claims that is not, or not yet, known to be authentic. The first line says so.
#[must_use]
pub fn facts_unverified(document: &SignedDocument) -> Vec<Fact> {
    let mut facts = vec![
        Fact {
            label: "signed by",
            value: "NOT VERIFIED: anybody could have written what follows".to_owned(),
        },
        Fact { label: "module", value: shown(document.module_id_unverified()) },
        Fact { label: "made at", value: document.timestamp_unverified().to_string() },
        Fact { label: "root", value: hex(&document.root_fingerprint_unverified()) },
    ];
    let claims = &document.claims;
    push_claims(
        &mut facts,
        document.pcrs_unverified(),
        [
            ("public_key", claims.public_key.as_deref()),
            ("user_data", claims.user_data.as_deref()),
            ("nonce", claims.nonce.as_deref()),
        ],
    );
    facts
}

/// What a register holds.
#[must_use]
pub fn register_meaning(register: PcrIndex) -> &'static str {
    match register {
        PcrIndex::IMAGE => "the image",
        PcrIndex::KERNEL => "kernel and first ramdisk",
        PcrIndex::APPLICATION => "the application",
        PcrIndex::PARENT_ROLE => "IAM role of the parent instance",
        PcrIndex::PARENT_INSTANCE => "id of the parent instance",
        PcrIndex::SIGNING_CERTIFICATE => "certificate that signed the image",
        PcrIndex::AGREEMENT => "the agreement",
        PcrIndex::INPUT_SET => "the input set",
        _ => "set by hypervisor or enclave",
    }
}

fn push_claims<'a>(
    facts: &mut Vec<Fact>,
    pcrs: impl Iterator<Item = (PcrIndex, &'a crate::Digest384)>,
    fields: [(&'static str, Option<&'a [u8]>); 3],
) {
    let mut zero = 0_usize;
    for (register, value) in pcrs {
        // A document has eleven zero registers or so: those that mean something by being zero are named.
        if value.is_zero() && register.number() > 4 && register != PcrIndex::SIGNING_CERTIFICATE {
            zero += 1;
            continue;
        }
        let value = if value.is_zero() { "zero".to_owned() } else { value.to_string() };
        facts.push(Fact {
            label: "register",
            value: format!("{register} ({}): {value}", register_meaning(register)),
        });
    }
    if zero > 0 {
        facts.push(Fact { label: "register", value: format!("{zero} others: zero") });
    }
    for (label, bytes) in fields {
        let value = match bytes {
            None => "absent".to_owned(),
            Some([]) => "present, empty".to_owned(),
            Some(bytes) if bytes.len() <= 64 => format!("{} bytes: {}", bytes.len(), hex(bytes)),
            Some(bytes) => {
                let beginning = bytes.get(..32).unwrap_or(bytes);
                format!("{} bytes, beginning {}", bytes.len(), hex(beginning))
            }
        };
        facts.push(Fact { label, value });
    }
}

fn age(timestamp: UnixTime, now: UnixTime) -> String {
    match now.duration_since(timestamp) {
        None => "from the future".to_owned(),
        Some(age) => {
            let secs = age.as_secs();
            match secs {
                0..=119 => format!("{secs} s"),
                120..=7199 => format!("{} min", secs / 60),
                7200..=172_799 => format!("{} h", secs / 3600),
                _ => format!("{} days", secs / 86_400),
            }
        }
    }
}

/// Foreign text, with everything escaped that is not a visible character.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
