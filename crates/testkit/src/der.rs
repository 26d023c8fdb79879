//! A writer of DER (X.690), low enough to write wrong things too.

/// 1.2.840.10045.2.1
pub const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.3.132.0.34
pub const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.2.840.10045.3.1.7
pub const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// ecdsa-with-SHA384, 1.2.840.10045.4.3.3
pub const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2
pub const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// basicConstraints, 2.5.29.19
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// keyUsage, 2.5.29.15
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// subjectKeyIdentifier, 2.5.29.14
pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
/// commonName, 2.5.4.3
pub const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// countryName, 2.5.4.6
pub const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
/// organizationName, 2.5.4.10
pub const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// organizationalUnitName, 2.5.4.11
pub const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];

/// Tag, minimal definite length, content.
#[must_use]
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    if let Ok(short) = u8::try_from(content.len())
        && short < 0x80
    {
        out.push(short);
    } else {
        let significant: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
        out.extend(significant);
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of already encoded parts.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// SET of already encoded parts, in the order given.
#[must_use]
pub fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

/// INTEGER with exactly this content.
#[must_use]
pub fn integer(content: &[u8]) -> Vec<u8> {
    tlv(0x02, content)
}

/// BOOLEAN.
#[must_use]
pub fn boolean(value: &Flag) -> Vec<u8> {
    tlv(0x01, &[if *value == Flag::Yes { 0xff } else { 0 }])
}

/// A truth value with a name, so that calls can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// True.
    Yes,
    /// False.
    No,
}

/// OBJECT IDENTIFIER with this content.
#[must_use]
pub fn oid(content: &[u8]) -> Vec<u8> {
    tlv(0x06, content)
}

/// OCTET STRING.
#[must_use]
pub fn octet_string(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// BIT STRING with that many unused bits.
#[must_use]
pub fn bit_string(unused: u8, content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[unused], content].concat())
}

/// A relative distinguished name of one attribute, as UTF8String (country: PrintableString).
#[must_use]
pub fn attribute(kind: &[u8], value: &str) -> Vec<u8> {
    let tag = if kind == COUNTRY { 0x13 } else { 0x0c };
    set(&[&sequence(&[&oid(kind), &tlv(tag, value.as_bytes())])])
}

/// A Name in the form of AWS's certificates: C=US, O=Amazon, OU=AWS, CN=`common_name`.
#[must_use]
pub fn name(common_name: &str) -> Vec<u8> {
    sequence(&[
        &attribute(COUNTRY, "US"),
        &attribute(ORGANIZATION, "Amazon"),
        &attribute(ORGANIZATIONAL_UNIT, "AWS"),
        &attribute(COMMON_NAME, common_name),
    ])
}

/// A Time of RFC 5280, section 4.1.2.5: UTCTime to 2049, GeneralizedTime after; `millis` since 1970, rounded down to
/// seconds.
#[must_use]
pub fn time(millis: u64) -> Vec<u8> {
    let text = generalized(millis);
    if text.as_str() < "2050" { tlv(0x17, &text.as_bytes()[2..]) } else { tlv(0x18, text.as_bytes()) }
}

/// `YYYYMMDDhhmmssZ`.
#[must_use]
pub fn generalized(millis: u64) -> String {
    let secs = millis / 1000;
    let (mut days, in_day) = (secs / 86_400, secs % 86_400);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let day = days + 1;
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}
