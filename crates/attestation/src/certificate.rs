//! One certificate, read strictly: what RFC 5280 and the Nitro PKI allow, nothing else.
//!
//! `rustls-webpki` checks the path, but it ignores keyUsage, accepts a leaf without basicConstraints and does not say
//! which certificate it refuses; so each certificate is read here first.

use core::fmt;

use crate::{
    UnixTime,
    der::{self, NotDer, Reader},
};

/// ecdsa-with-SHA384 (RFC 5758, section 3.2), as an AlgorithmIdentifier without parameters.
const ECDSA_WITH_SHA384: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// id-ecPublicKey with secp384r1 (RFC 5480, section 2.1.1), as the content of an AlgorithmIdentifier.
const P384_KEY: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// nameConstraints and extKeyUsage: they narrow what a certificate vouches for. The Nitro PKI has neither; ignoring one
/// would widen what its issuer meant, so they are refused, critical or not.
const RESTRICTING: [&[u8]; 2] = [&[0x55, 0x1d, 0x1e], &[0x55, 0x1d, 0x25]];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// An uncompressed point on P-384: 0x04, x, y.
const POINT_LENGTH: usize = 97;

/// What a certificate says, borrowed from its DER.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    /// The bytes that its issuer signed.
    pub(crate) signed_part: &'a [u8],
    /// The issuer's signature, a DER sequence of r and s.
    pub(crate) signature: &'a [u8],
    /// Content octets of serialNumber.
    pub(crate) serial: &'a [u8],
    /// Content of the issuer's Name.
    pub(crate) issuer: &'a [u8],
    /// Content of the subject's Name.
    pub(crate) subject: &'a [u8],
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// Content of subjectPublicKeyInfo.
    pub(crate) key_info: &'a [u8],
    /// The public key as an uncompressed point, 97 bytes.
    pub(crate) point: &'a [u8],
    pub(crate) constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BasicConstraints {
    Authority { path_length: Option<u8> },
    EndEntity,
}

/// The two bits of keyUsage (RFC 5280, section 4.2.1.3) that decide anything here.
#[derive(Clone, Copy)]
pub(crate) struct KeyUsage {
    bits: u8,
}

impl KeyUsage {
    pub(crate) fn signs_data(self) -> bool {
        self.bits & 0x80 != 0
    }

    pub(crate) fn signs_certificates(self) -> bool {
        self.bits & 0x04 != 0
    }
}

impl<'a> Certificate<'a> {
    /// RFC 5280, section 4.1.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CertificateFault> {
        let mut outer = Reader::new(bytes);
        let mut certificate = outer.nested(der::SEQUENCE)?;
        outer.end().map_err(|NotDer| CertificateFault::TrailingBytes)?;
        let signed_part = certificate.element(der::SEQUENCE)?;
        let outer_algorithm = certificate.content(der::SEQUENCE)?;
        let signature = certificate.whole_bits()?;
        certificate.end()?;

        let mut part = Reader::new(signed_part.content);
        if !part.next_is(der::CONTEXT_0) {
            return Err(CertificateFault::Version);
        }
        let mut version = part.nested(der::CONTEXT_0)?;
        if version.content(der::INTEGER)? != [2] {
            return Err(CertificateFault::Version);
        }
        version.end()?;
        let serial = part.content(der::INTEGER)?;
        check_serial(serial)?;
        let inner_algorithm = part.content(der::SEQUENCE)?;
        if inner_algorithm != ECDSA_WITH_SHA384 || outer_algorithm != ECDSA_WITH_SHA384 {
            return Err(CertificateFault::SignatureAlgorithm);
        }
        let issuer = part.content(der::SEQUENCE)?;
        let mut validity = part.nested(der::SEQUENCE)?;
        let not_before = read_time(&mut validity)?;
        let not_after = read_time(&mut validity)?;
        if !validity.is_empty() || not_before > not_after {
            return Err(CertificateFault::Validity);
        }
        let subject = part.content(der::SEQUENCE)?;
        let key_info = part.content(der::SEQUENCE)?;
        let point = read_key(key_info)?;
        let mut constraints = None;
        let mut key_usage = None;
        if part.next_is(der::CONTEXT_3) {
            let mut explicit = part.nested(der::CONTEXT_3)?;
            let extensions = explicit.nested(der::SEQUENCE)?;
            explicit.end()?;
            read_extensions(extensions, &mut constraints, &mut key_usage)?;
        }
        // Also refuses issuerUniqueID and subjectUniqueID, which conforming authorities never write.
        part.end()?;
        Ok(Self {
            signed_part: signed_part.whole,
            signature,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key_info,
            point,
            constraints,
            key_usage,
        })
    }

    /// That this is a certificate which may issue others; gives its path length.
    pub(crate) fn check_authority(&self) -> Result<Option<u8>, CertificateFault> {
        let path_length = match self.constraints {
            None => return Err(CertificateFault::BasicConstraintsMissing),
            Some(BasicConstraints::EndEntity) => return Err(CertificateFault::NotAnAuthority),
            Some(BasicConstraints::Authority { path_length }) => path_length,
        };
        match self.key_usage {
            None => Err(CertificateFault::KeyUsageMissing),
            Some(usage) if usage.signs_certificates() => Ok(path_length),
            Some(_) => Err(CertificateFault::KeyUsage),
        }
    }

    /// That this is a certificate which may sign data and may not issue others.
    pub(crate) fn check_end_entity(&self) -> Result<(), CertificateFault> {
        match self.constraints {
            None => return Err(CertificateFault::BasicConstraintsMissing),
            Some(BasicConstraints::Authority { .. }) => return Err(CertificateFault::AuthorityAsLeaf),
            Some(BasicConstraints::EndEntity) => {}
        }
        match self.key_usage {
            None => Err(CertificateFault::KeyUsageMissing),
            Some(usage) if usage.signs_data() && !usage.signs_certificates() => Ok(()),
            Some(_) => Err(CertificateFault::KeyUsage),
        }
    }

    /// The one common name of the subject.
    pub(crate) fn subject_common_name(&self) -> Option<&'a str> {
        common_name(self.subject)
    }

    /// The one common name of the issuer.
    pub(crate) fn issuer_common_name(&self) -> Option<&'a str> {
        common_name(self.issuer)
    }
}

/// What is wrong with a certificate taken by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Not a certificate in DER (RFC 5280, section 4.1).
    Form,
    /// Bytes follow the certificate.
    TrailingBytes,
    /// Not version 3.
    Version,
    /// The serial number is not positive, or longer than 20 octets (RFC 5280, section 4.1.2.2).
    SerialNumber,
    /// Not signed with ECDSA and SHA-384, or the algorithm inside differs from the one outside.
    SignatureAlgorithm,
    /// A validity in another form than RFC 5280, section 4.1.2.5, or one that ends before it begins.
    Validity,
    /// The public key is not an uncompressed point on P-384.
    Key,
    /// An extension stands there twice.
    DuplicateExtension,
    /// A critical extension other than basicConstraints and keyUsage.
    CriticalExtension,
    /// nameConstraints or extKeyUsage, which no certificate of the Nitro PKI has.
    RestrictingExtension,
    /// basicConstraints or keyUsage is not in the form of RFC 5280, section 4.2.1.
    Extension,
    /// There is no basicConstraints.
    BasicConstraintsMissing,
    /// It issued another certificate but is no authority.
    NotAnAuthority,
    /// It signs documents but is an authority.
    AuthorityAsLeaf,
    /// There is no keyUsage.
    KeyUsageMissing,
    /// keyUsage does not allow what the certificate is used for.
    KeyUsage,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not a certificate in DER",
            Self::TrailingBytes => "bytes follow the certificate",
            Self::Version => "its version is not 3",
            Self::SerialNumber => "its serial number is not positive or too long",
            Self::SignatureAlgorithm => "it is not signed with ECDSA and SHA-384",
            Self::Validity => "its validity is malformed",
            Self::Key => "its key is not an uncompressed point on P-384",
            Self::DuplicateExtension => "it has an extension twice",
            Self::CriticalExtension => "it has an unknown critical extension",
            Self::RestrictingExtension => "it has nameConstraints or extKeyUsage",
            Self::Extension => "its basicConstraints or keyUsage is malformed",
            Self::BasicConstraintsMissing => "it has no basicConstraints",
            Self::NotAnAuthority => "it issued a certificate but is no certificate authority",
            Self::AuthorityAsLeaf => "it signs a document but is a certificate authority",
            Self::KeyUsageMissing => "it has no keyUsage",
            Self::KeyUsage => "its keyUsage does not allow this use",
        })
    }
}

impl From<NotDer> for CertificateFault {
    fn from(NotDer: NotDer) -> Self {
        Self::Form
    }
}

fn check_serial(serial: &[u8]) -> Result<(), CertificateFault> {
    let shortest = match serial {
        [0, second, ..] => *second >= 0x80,
        [0] | [] => false,
        [first, ..] => *first < 0x80,
    };
    // 20 octets, and one more that says that the highest bit is no sign.
    if shortest && serial.len() <= 20 + usize::from(serial[0] == 0) {
        Ok(())
    } else {
        Err(CertificateFault::SerialNumber)
    }
}

fn read_time(reader: &mut Reader<'_>) -> Result<UnixTime, CertificateFault> {
    let element = reader.any()?;
    let (year, rest) = match (element.tag, element.content) {
        (der::UTC_TIME, [y1, y2, rest @ ..]) => {
            let year = two_digits(*y1, *y2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (der::GENERALIZED_TIME, [y1, y2, y3, y4, rest @ ..]) => {
            let year = two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?;
            if year < 2050 {
                return Err(CertificateFault::Validity);
            }
            (year, rest)
        }
        _ => return Err(CertificateFault::Validity),
    };
    let &[m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, b'Z'] = rest else {
        return Err(CertificateFault::Validity);
    };
    UnixTime::from_civil(
        year,
        two_digits(m1, m2)?,
        two_digits(d1, d2)?,
        two_digits(h1, h2)?,
        two_digits(n1, n2)?,
        two_digits(s1, s2)?,
    )
    .ok_or(CertificateFault::Validity)
}

fn two_digits(high: u8, low: u8) -> Result<u64, CertificateFault> {
    if high.is_ascii_digit() && low.is_ascii_digit() {
        Ok(u64::from(high - b'0') * 10 + u64::from(low - b'0'))
    } else {
        Err(CertificateFault::Validity)
    }
}

fn read_key(key_info: &[u8]) -> Result<&[u8], CertificateFault> {
    let mut info = Reader::new(key_info);
    if info.content(der::SEQUENCE)? != P384_KEY {
        return Err(CertificateFault::Key);
    }
    let point = info.whole_bits()?;
    info.end()?;
    if point.len() == POINT_LENGTH && point.first() == Some(&0x04) {
        Ok(point)
    } else {
        Err(CertificateFault::Key)
    }
}

fn read_extensions(
    mut extensions: Reader<'_>,
    constraints: &mut Option<BasicConstraints>,
    key_usage: &mut Option<KeyUsage>,
) -> Result<(), CertificateFault> {
    // A certificate of 1,024 bytes holds fewer than 100 of them, so looking each up in a list is cheap.
    let mut seen: Vec<&[u8]> = Vec::new();
    while !extensions.is_empty() {
        let mut extension = extensions.nested(der::SEQUENCE)?;
        let oid = extension.content(der::OID)?;
        let critical = match extension.next_is(der::BOOLEAN) {
            true if extension.content(der::BOOLEAN)? == [0xff] => true,
            // DER leaves a default value out (X.690, section 11.5).
            true => return Err(CertificateFault::Form),
            false => false,
        };
        let value = extension.content(der::OCTET_STRING)?;
        extension.end()?;
        if seen.contains(&oid) {
            return Err(CertificateFault::DuplicateExtension);
        }
        seen.push(oid);
        match oid {
            BASIC_CONSTRAINTS => {
                *constraints = Some(read_constraints(value).map_err(|NotDer| CertificateFault::Extension)?);
            }
            KEY_USAGE => {
                *key_usage = Some(read_key_usage(value).map_err(|NotDer| CertificateFault::Extension)?);
            }
            _ if RESTRICTING.contains(&oid) => return Err(CertificateFault::RestrictingExtension),
            _ if critical => return Err(CertificateFault::CriticalExtension),
            _ => {}
        }
    }
    Ok(())
}

/// RFC 5280, section 4.2.1.9.
fn read_constraints(value: &[u8]) -> Result<BasicConstraints, NotDer> {
    let mut outer = Reader::new(value);
    let mut sequence = outer.nested(der::SEQUENCE)?;
    outer.end()?;
    if sequence.is_empty() {
        return Ok(BasicConstraints::EndEntity);
    }
    if sequence.content(der::BOOLEAN)? != [0xff] {
        return Err(NotDer);
    }
    let path_length = if sequence.is_empty() {
        None
    } else {
        match sequence.content(der::INTEGER)? {
            &[length @ 0..=0x7f] => Some(length),
            _ => return Err(NotDer),
        }
    };
    sequence.end()?;
    Ok(BasicConstraints::Authority { path_length })
}

/// RFC 5280, section 4.2.1.3: a named bit list, so without trailing zero bits in DER (X.690, section 11.2.2).
fn read_key_usage(value: &[u8]) -> Result<KeyUsage, NotDer> {
    let mut outer = Reader::new(value);
    let content = outer.content(der::BIT_STRING)?;
    outer.end()?;
    let (&unused, bytes) = content.split_first().ok_or(NotDer)?;
    let (Some(&bits), Some(&last)) = (bytes.first(), bytes.last()) else {
        return Err(NotDer);
    };
    if bytes.len() > 2 || unused > 7 || u32::from(unused) != last.trailing_zeros() {
        return Err(NotDer);
    }
    Ok(KeyUsage { bits })
}

/// The only common name of a Name; `None` if there is none, or more than one, or one that is not UTF-8.
fn common_name(name: &[u8]) -> Option<&str> {
    let mut found = None;
    let mut names = Reader::new(name);
    while !names.is_empty() {
        let mut set = names.nested(der::SET).ok()?;
        while !set.is_empty() {
            let mut attribute = set.nested(der::SEQUENCE).ok()?;
            let kind = attribute.content(der::OID).ok()?;
            let value = attribute.any().ok()?;
            attribute.end().ok()?;
            if kind == COMMON_NAME {
                if !matches!(value.tag, der::UTF8_STRING | der::PRINTABLE_STRING) || found.is_some() {
                    return None;
                }
                found = Some(core::str::from_utf8(value.content).ok()?);
            }
        }
    }
    found
}
