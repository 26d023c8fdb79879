//! Parsing: bytes to a document about which nothing is known yet but its form.

use std::collections::BTreeMap;

use crate::{
    AuthenticDocument, AuthenticationError, Digest384, Field, ParseError, PcrIndex, TrustAnchor, UnixTime,
    cbor::Reader, chain, crypto,
};

/// How large a document may be. Arguments, so that who needs less can say less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the whole document.
    pub document: usize,
    /// Most certificates of `cabundle`, the root included.
    pub bundle: usize,
}

impl Limits {
    /// What hardware can make: a payload of at most 16,384 bytes (AWS, attestation_process.md, section 3.2) and the
    /// COSE frame of 110 bytes around it, in a bundle of at most 7 certificates (the root and the six that
    /// `rustls-webpki` walks; AWS uses four, and its path lengths allow no more).
    pub const HARDWARE: Self = Self { document: 16_384 + 110, bundle: 7 };
}

/// Most bytes of `public_key`, `user_data` and `nonce`: the CDDL of AWS's attestation_process.md and its nsm-check
/// (section 3.2.2.2 of the same page says 512 for two of them, but real documents carry 1,024).
const FIELD_MOST: usize = 1024;
/// Most bytes of a certificate (AWS, attestation_process.md, CDDL).
const CERTIFICATE_MOST: usize = 1024;
/// Bytes of an ES384 signature: r and s of 48 bytes each (RFC 9053, section 2.1).
const SIGNATURE_LENGTH: usize = 96;
/// ES384 in the registry of COSE algorithms.
const ES384: i128 = -35;

/// A document that has the right form. Nobody has checked yet who signed it.
///
/// The only way on is [`authenticate`](Self::authenticate). What it says can be seen through methods that carry
/// `unverified` in their names, for diagnosis and for choosing what to check it against; nothing may be decided by
/// them alone.
///
/// ```
/// use entente_attestation::{CborFault, ParseError, SignedDocument};
///
/// let error = SignedDocument::parse(&[0x84]).unwrap_err();
/// assert_eq!(error, ParseError::Cbor { offset: 1, fault: CborFault::Truncated });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDocument {
    /// The bytes that the signature covers, as RFC 9052, section 4.4, frames them.
    pub(crate) signed_bytes: Vec<u8>,
    pub(crate) signature: [u8; SIGNATURE_LENGTH],
    pub(crate) claims: Claims,
    pub(crate) certificate: Vec<u8>,
    pub(crate) bundle: Vec<Vec<u8>>,
}

/// What a document says about an enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) module_id: String,
    pub(crate) timestamp: UnixTime,
    pub(crate) pcrs: BTreeMap<PcrIndex, Digest384>,
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
}

impl SignedDocument {
    /// Reads a document within [`Limits::HARDWARE`].
    ///
    /// # Errors
    /// [`ParseError`] for everything that hardware would not write.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(bytes, &Limits::HARDWARE)
    }

    /// Reads a document within these limits: `COSE_Sign1` (RFC 9052, section 4.2), untagged or tagged 18, ES384 in the
    /// protected header and nothing else, an empty unprotected header, AWS's payload, and nothing after it.
    ///
    /// # Errors
    /// [`ParseError`] for everything that hardware would not write.
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        if bytes.len() > limits.document {
            return Err(ParseError::TooLong { limit: limits.document, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes, 0);
        match reader.optional_tag()? {
            None | Some(18) => {}
            Some(found) => return Err(ParseError::Tag { found }),
        }
        match reader.array(Field::Message)? {
            4 => {}
            found => return Err(ParseError::MessageLength { found }),
        }
        let protected = reader.bytes(Field::ProtectedHeader)?;
        check_protected(protected, reader.offset().saturating_sub(protected.len()))?;
        match reader.map(Field::UnprotectedHeader)? {
            0 => {}
            entries => return Err(ParseError::UnprotectedHeader { entries }),
        }
        let payload = reader.bytes(Field::Payload)?;
        let payload_offset = reader.offset().saturating_sub(payload.len());
        let signature = reader.bytes(Field::Signature)?;
        let signature = <[u8; SIGNATURE_LENGTH]>::try_from(signature)
            .map_err(|_| ParseError::SignatureLength { found: signature.len() })?;
        nothing_left(&reader, Field::Message)?;
        let Payload { claims, certificate, bundle } = Payload::read(payload, payload_offset, limits)?;
        Ok(Self {
            signed_bytes: sig_structure(protected, payload),
            signature,
            claims,
            certificate: certificate.to_vec(),
            bundle: bundle.into_iter().map(<[u8]>::to_vec).collect(),
        })
    }

    /// The time that the document claims for itself. For the one question "was it authentic when it was made?"
    /// (receipts, PROTOCOL §13, and diagnosis), never as the present.
    #[must_use]
    pub fn timestamp_unverified(&self) -> UnixTime {
        self.claims.timestamp
    }

    /// The SHA-256 of the certificate that the document names as its root, to choose among several anchors.
    #[must_use]
    pub fn root_fingerprint_unverified(&self) -> [u8; 32] {
        self.bundle.first().map_or([0; 32], |root| crypto::sha256(root))
    }

    /// The DER of the certificate that the document names as its root. To be compared with a fingerprint that is known
    /// from elsewhere (an agreement names a simulated root so); believing it as it stands would accept everything.
    #[must_use]
    pub fn root_certificate_unverified(&self) -> &[u8] {
        self.bundle.first().map_or(&[], Vec::as_slice)
    }

    /// The module id that the document claims.
    #[must_use]
    pub fn module_id_unverified(&self) -> &str {
        &self.claims.module_id
    }

    /// The registers that the document claims.
    pub fn pcrs_unverified(&self) -> impl Iterator<Item = (PcrIndex, &Digest384)> {
        self.claims.pcrs.iter().map(|(index, value)| (*index, value))
    }

    /// Checks that the holder of the anchor's key vouches for the document at time `at`: `cabundle[0]` is the anchor,
    /// every certificate is valid at that time and was issued by the one before it, the leaf speaks for this module,
    /// and the leaf's key signed the document.
    ///
    /// Revocation lists are not consulted, as AWS advises.
    ///
    /// # Errors
    /// [`AuthenticationError`], the first check that failed in the order given.
    pub fn authenticate(
        self,
        anchor: &TrustAnchor,
        at: UnixTime,
    ) -> Result<AuthenticDocument, AuthenticationError> {
        let facts = chain::verify(&self, anchor, at)?;
        Ok(AuthenticDocument::new(self, anchor.clone(), at, facts))
    }
}

/// RFC 9052, section 3.1: a map, here of one entry, label 1 (the algorithm).
fn check_protected(bytes: &[u8], offset: usize) -> Result<(), ParseError> {
    let mut reader = Reader::new(bytes, offset);
    let entries = reader.map(Field::ProtectedHeader)?;
    let mut algorithm = None;
    for _ in 0..entries {
        match (reader.integer(Field::HeaderLabel)?, algorithm) {
            (1, None) => algorithm = Some(reader.integer(Field::Algorithm)?),
            (label, _) => return Err(ParseError::ProtectedHeader { label }),
        }
    }
    nothing_left(&reader, Field::ProtectedHeader)?;
    match algorithm {
        Some(ES384) => Ok(()),
        Some(found) => Err(ParseError::Algorithm { found }),
        None => Err(ParseError::AlgorithmMissing),
    }
}

/// The `Sig_structure` of RFC 9052, section 4.4: `["Signature1", protected, h'', payload]`.
fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + protected.len() + 32);
    out.extend_from_slice(b"\x84\x6aSignature1");
    write_bytes(&mut out, protected);
    write_bytes(&mut out, b"");
    write_bytes(&mut out, payload);
    out
}

/// A CBOR byte string with the shortest head.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).unwrap_or(length.len());
    match (length.len() - significant, bytes.len()) {
        (0 | 1, 0..=23) => out.push(0x40 | length[length.len() - 1]),
        (1, _) => {
            out.push(0x58);
            out.extend_from_slice(&length[length.len() - 1..]);
        }
        (2, _) => {
            out.push(0x59);
            out.extend_from_slice(&length[length.len() - 2..]);
        }
        (3 | 4, _) => {
            out.push(0x5a);
            out.extend_from_slice(&length[length.len() - 4..]);
        }
        _ => {
            out.push(0x5b);
            out.extend_from_slice(&length);
        }
    }
    out.extend_from_slice(bytes);
}

/// The payload, borrowed from the document.
struct Payload<'a> {
    claims: Claims,
    certificate: &'a [u8],
    bundle: Vec<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// AWS, attestation_process.md, sections 2.2 (CDDL) and 3.2 (checks of form).
    fn read(bytes: &'a [u8], offset: usize, limits: &Limits) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes, offset);
        let mut end = reader.map_of_either_form(Field::Payload)?;
        let mut module_id = None;
        let mut digest = None;
        let mut timestamp = None;
        let mut pcrs = None;
        let mut certificate = None;
        let mut bundle = None;
        let mut public_key = None;
        let mut user_data = None;
        let mut nonce = None;
        while let Some(()) = reader.another_pair(&mut end) {
            let key_offset = reader.offset();
            match reader.text(Field::PayloadKey)? {
                "module_id" => once(&mut module_id, Field::ModuleId, read_module_id(&mut reader)?)?,
                "digest" => once(&mut digest, Field::Digest, read_digest(&mut reader)?)?,
                "timestamp" => once(&mut timestamp, Field::Timestamp, read_timestamp(&mut reader)?)?,
                "pcrs" => once(&mut pcrs, Field::Pcrs, read_pcrs(&mut reader)?)?,
                "certificate" => {
                    let value = read_bounded(&mut reader, Field::Certificate, 1, CERTIFICATE_MOST)?;
                    once(&mut certificate, Field::Certificate, value)?;
                }
                "cabundle" => once(&mut bundle, Field::Cabundle, read_bundle(&mut reader, limits)?)?,
                "public_key" => {
                    once(&mut public_key, Field::PublicKey, read_optional(&mut reader, Field::PublicKey)?)?;
                }
                "user_data" => {
                    once(&mut user_data, Field::UserData, read_optional(&mut reader, Field::UserData)?)?;
                }
                "nonce" => once(&mut nonce, Field::Nonce, read_optional(&mut reader, Field::Nonce)?)?,
                _ => return Err(ParseError::UnknownKey { offset: key_offset }),
            }
        }
        nothing_left(&reader, Field::Payload)?;
        required(digest, Field::Digest)?;
        Ok(Self {
            claims: Claims {
                module_id: required(module_id, Field::ModuleId)?,
                timestamp: required(timestamp, Field::Timestamp)?,
                pcrs: required(pcrs, Field::Pcrs)?,
                public_key: public_key.flatten(),
                user_data: user_data.flatten(),
                nonce: nonce.flatten(),
            },
            certificate: required(certificate, Field::Certificate)?,
            bundle: required(bundle, Field::Cabundle)?,
        })
    }
}

fn once<T>(slot: &mut Option<T>, field: Field, value: T) -> Result<(), ParseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseError::Duplicate { field }),
    }
}

fn required<T>(slot: Option<T>, field: Field) -> Result<T, ParseError> {
    slot.ok_or(ParseError::Missing { field })
}

fn nothing_left(reader: &Reader<'_>, after: Field) -> Result<(), ParseError> {
    match reader.remaining() {
        0 => Ok(()),
        count => Err(ParseError::TrailingBytes { after, count }),
    }
}

fn read_module_id(reader: &mut Reader<'_>) -> Result<String, ParseError> {
    let text = reader.text(Field::ModuleId)?;
    within(Field::ModuleId, text.len(), 1, FIELD_MOST)?;
    Ok(text.to_owned())
}

fn read_digest(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    match reader.text(Field::Digest)? {
        "SHA384" => Ok(()),
        _ => Err(ParseError::DigestAlgorithm),
    }
}

fn read_timestamp(reader: &mut Reader<'_>) -> Result<UnixTime, ParseError> {
    match reader.unsigned(Field::Timestamp)? {
        0 => Err(ParseError::TimestampZero),
        millis => Ok(UnixTime::from_millis(millis)),
    }
}

fn read_pcrs(reader: &mut Reader<'_>) -> Result<BTreeMap<PcrIndex, Digest384>, ParseError> {
    let count = reader.map(Field::Pcrs)?;
    if !(1..=32).contains(&count) {
        return Err(ParseError::PcrCount { found: count });
    }
    let mut pcrs = BTreeMap::new();
    for _ in 0..count {
        let number = reader.unsigned(Field::PcrNumber)?;
        let register = u8::try_from(number)
            .ok()
            .and_then(PcrIndex::new)
            .ok_or(ParseError::PcrNumber { found: number })?;
        let value = reader.bytes(Field::PcrValue)?;
        let value =
            Digest384::try_from(value).map_err(|_| ParseError::PcrLength { register, found: value.len() })?;
        if pcrs.insert(register, value).is_some() {
            return Err(ParseError::PcrDuplicate { register });
        }
    }
    for register in [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION] {
        if !pcrs.contains_key(&register) {
            return Err(ParseError::PcrMissing { register });
        }
    }
    Ok(pcrs)
}

fn read_bundle<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Result<Vec<&'a [u8]>, ParseError> {
    let found = reader.array(Field::Cabundle)?;
    let count = usize::try_from(found)
        .ok()
        .filter(|count| (1..=limits.bundle).contains(count))
        .ok_or(ParseError::BundleLength { most: limits.bundle, found })?;
    let mut bundle = Vec::with_capacity(count);
    for _ in 0..count {
        bundle.push(read_bounded(reader, Field::BundleCertificate, 1, CERTIFICATE_MOST)?);
    }
    Ok(bundle)
}

fn read_optional(reader: &mut Reader<'_>, field: Field) -> Result<Option<Vec<u8>>, ParseError> {
    let Some(bytes) = reader.bytes_or_null(field)? else {
        return Ok(None);
    };
    within(field, bytes.len(), 0, FIELD_MOST)?;
    Ok(Some(bytes.to_vec()))
}

fn read_bounded<'a>(
    reader: &mut Reader<'a>,
    field: Field,
    least: usize,
    most: usize,
) -> Result<&'a [u8], ParseError> {
    let bytes = reader.bytes(field)?;
    within(field, bytes.len(), least, most)?;
    Ok(bytes)
}

fn within(field: Field, found: usize, least: usize, most: usize) -> Result<(), ParseError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(ParseError::Length { field, least, most, found })
    }
}
