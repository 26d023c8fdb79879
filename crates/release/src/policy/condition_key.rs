//! Condition keys: the names of facts about a request that a policy may ask for.

use std::fmt;

/// Keys that exist for every AWS service (IAM user guide, "AWS global condition context keys"), lower case. Tag keys are apart.
const GLOBAL: &[&str] = &[
    "aws:assumedroot",
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:chatbotsourcearn",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcsourceip",
];

/// Keys of AWS KMS (developer guide, "AWS KMS condition keys"), lower case. Those with a parameter are apart.
const KMS: &[&str] = &[
    "kms:bypasspolicylockoutsafetycheck",
    "kms:calleraccount",
    "kms:customermasterkeyspec",
    "kms:customermasterkeyusage",
    "kms:datakeypairspec",
    "kms:encryptionalgorithm",
    "kms:encryptioncontextkeys",
    "kms:expirationmodel",
    "kms:grantconstrainttype",
    "kms:granteeprincipal",
    "kms:grantisforawsresource",
    "kms:grantoperations",
    "kms:keyagreementalgorithm",
    "kms:keyorigin",
    "kms:keyspec",
    "kms:keyusage",
    "kms:macalgorithm",
    "kms:messagetype",
    "kms:multiregion",
    "kms:multiregionkeytype",
    "kms:primaryregion",
    "kms:recipientattestation:imagesha384",
    "kms:reencryptonsamekey",
    "kms:replicaregion",
    "kms:requestalias",
    "kms:resourcealiases",
    "kms:retiringprincipal",
    "kms:rotationperiodindays",
    "kms:schedulekeydeletionpendingwindowindays",
    "kms:signingalgorithm",
    "kms:validto",
    "kms:viaservice",
    "kms:wrappingalgorithm",
    "kms:wrappingkeyspec",
];

/// Of the above, those that hold a set of values and can only be asked for with `ForAnyValue:` or `ForAllValues:`.
const MULTIVALUED: &[&str] = &[
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:vpceorgpaths",
    "kms:encryptioncontextkeys",
    "kms:grantoperations",
    "kms:resourcealiases",
];

const ENCRYPTION_CONTEXT: &str = "kms:encryptioncontext:";
const ATTESTATION: &str = "kms:recipientattestation:";

/// The name of a condition key that AWS documents. Names are compared without regard to case, as AWS does.
#[derive(Clone)]
pub struct ConditionKey {
    written: String,
    folded: String,
}

impl ConditionKey {
    /// Takes a name if it is one that AWS documents: the global keys, those of AWS KMS, `kms:EncryptionContext:NAME`,
    /// `kms:RecipientAttestation:PCRn` and `NitroTPMPCRn` for n from 0 to 31, and the tag keys.
    ///
    /// # Errors
    /// [`UnknownConditionKey`] for every other name.
    pub fn parse(written: &str) -> Result<Self, UnknownConditionKey> {
        let folded = written.to_ascii_lowercase();
        let known = GLOBAL.contains(&folded.as_str())
            || KMS.contains(&folded.as_str())
            || parameter(&folded, ENCRYPTION_CONTEXT).is_some()
            || ["aws:principaltag/", "aws:resourcetag/", "aws:requesttag/"]
                .iter()
                .any(|prefix| parameter(&folded, prefix).is_some())
            || parameter(&folded, ATTESTATION)
                .and_then(|rest| rest.strip_prefix("nitrotpmpcr").or_else(|| rest.strip_prefix("pcr")))
                .is_some_and(is_register);
        if known { Ok(Self { written: written.to_owned(), folded }) } else { Err(UnknownConditionKey) }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The name in lower case, which is what is compared.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether a request may have several values for it.
    #[must_use]
    pub fn is_multivalued(&self) -> bool {
        MULTIVALUED.contains(&self.folded.as_str())
    }

    /// Whether its values come from an attestation document, so that it exists only in requests with `Recipient`.
    #[must_use]
    pub fn is_attested(&self) -> bool {
        self.folded.starts_with(ATTESTATION)
    }
}

impl PartialEq for ConditionKey {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for ConditionKey {}

impl fmt::Display for ConditionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl fmt::Debug for ConditionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn parameter<'a>(folded: &'a str, prefix: &str) -> Option<&'a str> {
    folded.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}

/// `0` to `31` in decimal, without leading zeros.
fn is_register(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|number| number < 32 && number.to_string() == text)
}

/// A name that no AWS documentation lists: most likely a slip of the pen, with which a condition would never or always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a condition key that AWS documents")]
pub struct UnknownConditionKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_names_are_known_in_any_case() {
        for name in [
            "aws:CurrentTime",
            "AWS:sourceip",
            "kms:RecipientAttestation:ImageSha384",
            "kms:RecipientAttestation:PCR0",
            "kms:RecipientAttestation:PCR31",
            "kms:RecipientAttestation:NitroTPMPCR4",
            "kms:EncryptionContext:entente-agreement",
            "aws:PrincipalTag/Team",
        ] {
            assert_eq!(ConditionKey::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "",
            "kms:",
            "kms:RecipientAttestation:PCR32",
            "kms:RecipientAttestation:PCR016",
            "kms:RecipientAttestation:PCR+1",
            "kms:RecipientAttestation:PCR",
            "kms:RecipientAttestation:PCR0 ",
            "kms:RecipientAttestation:ImageSha385",
            "kms:EncryptionContext:",
            "kms:EncryptionContext",
            "aws:PrincipalTag/",
            "s3:prefix",
        ] {
            assert_eq!(ConditionKey::parse(name).unwrap_err(), UnknownConditionKey, "{name}");
        }
    }
}
