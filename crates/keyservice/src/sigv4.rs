//! AWS Signature Version 4 for the JSON protocol: `POST /` without a query, the body hashed (IAM user guide, "Create a signed AWS API request").
//!
//! Not here: presigned URLs, unsigned and chunked payloads, signature version 4A, session tokens.
//!
//! ```
//! use entente_attestation::UnixTime;
//! use entente_keyservice::sigv4::{AccessKey, Scope, sign};
//!
//! let key = AccessKey::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let scope = Scope::new("eu-central-1", "kms");
//! let headers = sign("127.0.0.1:4600", "TrentService.ListKeys", b"{}", &key, &scope, UnixTime::from_millis(0));
//! assert!(headers.iter().any(|header| header.name() == "authorization"));
//! ```

use aws_lc_rs::{constant_time, digest, hmac};
use entente_attestation::UnixTime;
use zeroize::Zeroizing;

use crate::error::KmsError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far a request's time may be from ours: five minutes, as at AWS. Within it, a request that somebody recorded can be sent again.
const MAX_SKEW_MILLIS: u64 = 5 * 60 * 1000;

/// An access key: a public id and a secret.
///
/// # Security
/// The secret is overwritten when dropped; there is no `Debug`.
pub struct AccessKey {
    id: String,
    secret: Zeroizing<String>,
}

impl AccessKey {
    /// Puts the two together.
    #[must_use]
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()) }
    }

    /// The id, which is public.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.secret
    }
}

/// What a signature is good for: a region and a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    region: String,
    service: String,
}

impl Scope {
    /// Such as `eu-central-1` and `kms`.
    #[must_use]
    pub fn new(region: &str, service: &str) -> Self {
        Self { region: region.to_owned(), service: service.to_owned() }
    }
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl Header {
    pub(crate) fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_ascii_lowercase(), value: value.to_owned() }
    }

    /// The name in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Signs a `POST /` of the AWS JSON 1.1 protocol to `host` (with its port, as the `Host` header will have it) and gives all headers that it needs besides
/// `Host` and `Content-Length`.
#[must_use]
pub fn sign(
    host: &str,
    target: &str,
    body: &[u8],
    key: &AccessKey,
    scope: &Scope,
    at: UnixTime,
) -> Vec<Header> {
    let date = basic_date(at);
    let mut headers = vec![
        Header::new("content-type", "application/x-amz-json-1.1"),
        Header::new("host", host),
        Header::new("x-amz-date", &date),
        Header::new("x-amz-target", target),
    ];
    let names: Vec<&str> = headers.iter().map(Header::name).collect();
    let signed = names.join(";");
    let canonical = canonical_request("POST", &headers, &names, body);
    let day = date.get(..8).unwrap_or_default();
    let tag = signature(&canonical, &date, day, scope, key.expose_secret());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{day}/{}/{}/aws4_request, SignedHeaders={signed}, Signature={}",
        key.id,
        scope.region,
        scope.service,
        hex::encode(tag.as_ref())
    );
    headers.retain(|header| header.name != "host");
    headers.push(Header::new("authorization", &authorization));
    headers
}

/// The claims of an `Authorization` header, before anything is checked.
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: [u8; 32],
}

impl<'a> Authorization<'a> {
    pub(crate) fn parse(headers: &'a [Header]) -> Result<Self, KmsError> {
        let mut found = headers.iter().filter(|header| header.name == "authorization");
        let (value, more) = (found.next(), found.next());
        let Some(value) = value else {
            return Err(KmsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let incomplete = |message: &str| KmsError::new("IncompleteSignatureException", message);
        if more.is_some() {
            return Err(incomplete("Authorization header is there twice."));
        }
        let fields = value
            .value
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(|| incomplete("Authorization header requires algorithm AWS4-HMAC-SHA256."))?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field
                .trim()
                .split_once('=')
                .ok_or_else(|| incomplete("Authorization header requires key=value pairs."))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(incomplete("Authorization header has an unknown parameter.")),
            };
            if slot.replace(value).is_some() {
                return Err(incomplete("Authorization header has a parameter twice."));
            }
        }
        let missing = |name: &str| incomplete(&format!("Authorization header requires '{name}' parameter."));
        let credential = credential.ok_or_else(|| missing("Credential"))?;
        let signed = signed.ok_or_else(|| missing("SignedHeaders"))?;
        let signature = signature.ok_or_else(|| missing("Signature"))?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, the last aws4_request.",
            ));
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| incomplete("Signature is not 64 hex digits."))?;
        Ok(Self {
            access_key_id,
            day,
            region,
            service,
            signed_headers: signed.split(';').collect(),
            signature: bytes,
        })
    }

    /// Checks the signature with the secret of its access key.
    pub(crate) fn verify(
        &self,
        headers: &[Header],
        body: &[u8],
        secret: &str,
        scope: &Scope,
        now: UnixTime,
    ) -> Result<(), KmsError> {
        let invalid = |message: String| KmsError::new("InvalidSignatureException", message);
        if self.region != scope.region || self.service != scope.service {
            return Err(invalid(format!(
                "Credential should be scoped to region '{}' and service '{}'.",
                scope.region, scope.service
            )));
        }
        self.check_signed_headers(headers)?;
        let date = headers
            .iter()
            .find(|header| header.name == "x-amz-date")
            .map(|header| header.value.trim())
            .unwrap_or_default();
        let incomplete = |message| KmsError::new("IncompleteSignatureException", message);
        let at = parse_basic_date(date)
            .ok_or_else(|| incomplete("X-Amz-Date must be in the form YYYYMMDD'T'HHMMSS'Z'."))?;
        if date.get(..8) != Some(self.day) {
            return Err(invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
                    .to_owned(),
            ));
        }
        let (now_text, earliest, latest) = (
            basic_date(now),
            now.as_millis().saturating_sub(MAX_SKEW_MILLIS),
            now.as_millis().saturating_add(MAX_SKEW_MILLIS),
        );
        if at.as_millis() < earliest {
            let limit = basic_date(UnixTime::from_millis(earliest));
            return Err(invalid(format!(
                "Signature expired: {date} is now earlier than {limit} ({now_text} - 5 min.)"
            )));
        }
        if at.as_millis() > latest {
            let limit = basic_date(UnixTime::from_millis(latest));
            return Err(invalid(format!(
                "Signature not yet current: {date} is still later than {limit} ({now_text} + 5 min.)"
            )));
        }
        let canonical = canonical_request("POST", headers, &self.signed_headers, body);
        let expected = signature(&canonical, date, self.day, scope, secret);
        constant_time::verify_slices_are_equal(expected.as_ref(), &self.signature).map_err(|_| {
            invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details."
                    .to_owned(),
            )
        })
    }

    /// Ascending, each there, and `Host` and every `X-Amz-` header among them: what is not signed, somebody on the way can change.
    fn check_signed_headers(&self, headers: &[Header]) -> Result<(), KmsError> {
        let invalid = |message: String| KmsError::new("InvalidSignatureException", message);
        let ascending = self
            .signed_headers
            .iter()
            .zip(self.signed_headers.iter().skip(1))
            .all(|(before, after)| before < after);
        if !ascending {
            return Err(invalid("Signed headers must be in ascending order, without repetition.".to_owned()));
        }
        for required in headers.iter().map(Header::name).filter(|name| name.starts_with("x-amz-")).chain([
            "host",
            "x-amz-date",
            "x-amz-target",
        ]) {
            if !self.signed_headers.contains(&required) {
                return Err(invalid(format!(
                    "'{required}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        for name in &self.signed_headers {
            let count = headers.iter().filter(|header| header.name == *name).count();
            // One meaning each: a second date or target might be read by one side only.
            let single = *name == "host" || name.starts_with("x-amz-");
            if count == 0 || (single && count > 1) {
                return Err(invalid(format!("The signed header '{name}' must be there once.")));
            }
        }
        Ok(())
    }
}

fn canonical_request(method: &str, headers: &[Header], signed: &[&str], body: &[u8]) -> String {
    let mut canonical = format!("{method}\n/\n\n");
    for name in signed {
        let values: Vec<String> = headers
            .iter()
            .filter(|header| header.name == *name)
            .map(|header| header.value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(&values.join(","));
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(&signed.join(";"));
    canonical.push('\n');
    canonical.push_str(&hex::encode(digest::digest(&digest::SHA256, body)));
    canonical
}

fn signature(canonical: &str, date: &str, day: &str, scope: &Scope, secret: &str) -> hmac::Tag {
    let mac = |key: &[u8], data: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes());
    let Scope { region, service } = scope;
    let hashed = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let text = format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/aws4_request\n{hashed}");
    let seed = Zeroizing::new(format!("AWS4{secret}"));
    let by_day = mac(seed.as_bytes(), day);
    let by_region = mac(by_day.as_ref(), region);
    let by_service = mac(by_region.as_ref(), service);
    let key = mac(by_service.as_ref(), "aws4_request");
    mac(key.as_ref(), &text)
}

/// `YYYYMMDDTHHMMSSZ`.
fn basic_date(at: UnixTime) -> String {
    let text = UnixTime::from_secs(at.as_secs()).to_string();
    text.chars().filter(|character| !matches!(character, '-' | ':')).collect()
}

fn parse_basic_date(text: &str) -> Option<UnixTime> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let extended = format!(
        "{}-{}-{}{}{}:{}:{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 9),
        part(9, 11),
        part(11, 13),
        part(13, 16)
    );
    UnixTime::parse_rfc3339(&extended).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn scope() -> Scope {
        Scope::new("us-east-1", "service")
    }

    /// Of AWS's Signature Version 4 test suite.
    fn published(method: &str, extra: &[(&str, &str)], signed: &[&str], body: &[u8]) -> String {
        let mut headers =
            vec![Header::new("Host", "example.amazonaws.com"), Header::new("X-Amz-Date", "20150830T123600Z")];
        headers.extend(extra.iter().map(|(name, value)| Header::new(name, value)));
        let canonical = canonical_request(method, &headers, signed, body);
        hex::encode(signature(&canonical, "20150830T123600Z", "20150830", &scope(), SECRET))
    }

    #[test]
    fn signatures_of_the_published_test_suite() {
        let two = &["host", "x-amz-date"][..];
        assert_eq!(
            published("GET", &[], two, b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            published("POST", &[], two, b""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        assert_eq!(
            published("POST", &[("My-Header1", "value1")], &["host", "my-header1", "x-amz-date"], b""),
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"
        );
        assert_eq!(
            published(
                "POST",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                &["content-type", "host", "x-amz-date"],
                b"Param1=value1"
            ),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    fn signed_request() -> (Vec<Header>, UnixTime) {
        let at = UnixTime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap();
        let mut headers =
            sign("h:1", "TrentService.ListKeys", b"{}", &AccessKey::new("AKID", SECRET), &scope(), at);
        headers.push(Header::new("host", "h:1"));
        (headers, at)
    }

    fn check(headers: &[Header], body: &[u8], now: UnixTime) -> Result<(), KmsError> {
        Authorization::parse(headers)?.verify(headers, body, SECRET, &scope(), now)
    }

    #[test]
    fn what_is_signed_verifies_within_five_minutes() {
        let (headers, at) = signed_request();
        let shifted = |millis: i64| UnixTime::from_millis(at.as_millis().saturating_add_signed(millis));
        for millis in [0, 300_000, -300_000] {
            assert_eq!(check(&headers, b"{}", shifted(millis)), Ok(()));
        }
        for (millis, start) in
            [(300_001, "Signature expired: 20260601T000000Z"), (-300_001, "Signature not yet current")]
        {
            let error = check(&headers, b"{}", shifted(millis)).unwrap_err();
            assert_eq!(error.exception(), "InvalidSignatureException");
            assert!(error.to_string().contains(start), "{error}");
        }
    }

    #[test]
    fn every_change_is_noticed() {
        let (headers, at) = signed_request();
        assert_eq!(check(&headers, b"{ }", at).unwrap_err().exception(), "InvalidSignatureException");
        for index in 0..headers.len() {
            let mut changed = headers.clone();
            changed[index].value.insert(0, '1');
            assert!(check(&changed, b"{}", at).is_err(), "{}", headers[index].name);
            let mut removed = headers.clone();
            removed.remove(index);
            assert!(check(&removed, b"{}", at).is_err(), "{}", headers[index].name);
            let mut doubled = headers.clone();
            doubled.push(headers[index].clone());
            assert!(check(&doubled, b"{}", at).is_err(), "{}", headers[index].name);
        }
        let mut unsigned = headers.clone();
        unsigned.push(Header::new("X-Amz-Security-Token", "x"));
        assert!(check(&unsigned, b"{}", at).is_err());
        let other = Authorization::parse(&headers).unwrap().verify(&headers, b"{}", "other", &scope(), at);
        assert_eq!(other.unwrap_err().exception(), "InvalidSignatureException");
        let elsewhere = Scope::new("us-east-2", "service");
        assert!(
            Authorization::parse(&headers).unwrap().verify(&headers, b"{}", SECRET, &elsewhere, at).is_err()
        );
    }

    #[test]
    fn malformed_authorizations_are_incomplete() {
        for value in [
            "",
            "Bearer x",
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=zz",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, Credential=a/b/c/d/aws4_request",
            "AWS4-HMAC-SHA256 Other=1",
            "AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d/aws4_request",
        ] {
            let headers = [Header::new("authorization", value)];
            let error = Authorization::parse(&headers).err().unwrap();
            assert_eq!(error.exception(), "IncompleteSignatureException", "{value}");
        }
        assert_eq!(
            Authorization::parse(&[]).err().unwrap().exception(),
            "MissingAuthenticationTokenException"
        );
    }
}
