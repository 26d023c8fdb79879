//! Policies and what they say: one line a case, from AWS's documented rules and the traps in them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use entente_agreement::KeyArn;
use entente_attestation::UnixTime;
use entente_release::policy::{
    AccessRequest, Action, AttestedRegisters, ConditionKey, KeyPolicy, PolicyFault, PrincipalArn, Transport,
    Verdict,
};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const HOST: &str = "arn:aws:iam::444455556666:role/entente-host";
const USER: &str = "arn:aws:iam::111122223333:user/team/alice";
const SESSION: &str = "arn:aws:sts::444455556666:assumed-role/entente-host/i-0abc";
/// 2026-06-01T00:00:00Z.
const NOW: UnixTime = UnixTime::from_millis(1_780_272_000_000);

fn register(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

fn registers() -> AttestedRegisters {
    [(0, 0xa0), (1, 0xa1), (2, 0xa2), (3, 0xa3), (16, 0xb0), (17, 0xb1)]
        .into_iter()
        .map(|(number, byte)| (number, vec![byte; 48]))
        .collect()
}

fn key() -> KeyArn {
    KEY.parse().unwrap()
}

fn principal(arn: &str) -> PrincipalArn {
    arn.parse().unwrap()
}

fn context() -> BTreeMap<String, String> {
    [("entente-agreement", "c0ffee"), ("entente-dataset", "bids")]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// Decrypt by the host, with context, over TLS from a documentation address, without Recipient.
fn plain(action: Action, caller: &str) -> AccessRequest {
    AccessRequest::new(action, &principal(caller), &key(), NOW)
        .with_encryption_context(&context())
        .with_transport(Transport::Tls)
        .with_source_ip("203.0.113.7".parse().unwrap())
}

fn attested(action: Action, caller: &str) -> AccessRequest {
    plain(action, caller).with_recipient(&registers())
}

fn decrypt() -> AccessRequest {
    attested(Action::Decrypt, HOST)
}

fn verdict(statements: &str, request: &AccessRequest) -> Verdict {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let policy = KeyPolicy::parse(&text).unwrap_or_else(|error| panic_with(&text, &error));
    // What is written reads back to the same.
    assert_eq!(KeyPolicy::parse(&policy.to_json()).unwrap(), policy, "{text}");
    assert_eq!(KeyPolicy::parse(&policy.to_indented_json()).unwrap(), policy, "{text}");
    policy.evaluate(request).verdict()
}

#[expect(clippy::panic, reason = "tests")]
fn panic_with(text: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("{error}\n{text}")
}

/// An Allow for the host with these conditions.
fn host_if(conditions: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{HOST}"}},"Action":"kms:Decrypt","Resource":"*","Condition":{conditions}}}"#
    )
}

fn deny_if(conditions: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}},
           {{"Sid":"no","Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{conditions}}}"#
    )
}

fn statement(effect: &str, principal: &str, action: &str) -> String {
    format!(r#"{{"Effect":"{effect}",{principal},{action},"Resource":"*"}}"#)
}

use Verdict::{Allowed, DeniedByDefault, DeniedExplicitly};

#[test]
fn principals() {
    let decrypt_by = |caller: &str| plain(Action::Decrypt, caller);
    let allow = |who: &str| statement("Allow", who, r#""Action":"kms:Decrypt""#);
    let host = format!(r#""Principal":{{"AWS":"{HOST}"}}"#);
    let account = r#""Principal":{"AWS":"111122223333"}"#.to_owned();
    let session = format!(r#""Principal":{{"AWS":["{SESSION}"]}}"#);
    for (name, policy, caller, expected) in [
        ("the one named", allow(&host), HOST, Allowed),
        ("somebody else", allow(&host), USER, DeniedByDefault),
        ("a session of the role named", allow(&host), SESSION, Allowed),
        ("the role of the session named", allow(&session), HOST, DeniedByDefault),
        ("the session named", allow(&session), SESSION, Allowed),
        ("everybody", allow(r#""Principal":"*""#), HOST, Allowed),
        ("everybody of AWS", allow(r#""Principal":{"AWS":"*"}"#), USER, Allowed),
        ("an account means its root user", allow(&account), ROOT, Allowed),
        ("an account means no user without identity policy", allow(&account), USER, DeniedByDefault),
        ("another account", allow(&account), HOST, DeniedByDefault),
        (
            "a service is nobody",
            allow(r#""Principal":{"Service":"s3.amazonaws.com"}"#),
            ROOT,
            DeniedByDefault,
        ),
        (
            "one of several kinds",
            allow(&format!(r#""Principal":{{"Service":"s3.amazonaws.com","AWS":["{ROOT}","{HOST}"]}}"#)),
            HOST,
            Allowed,
        ),
        (
            "a role of the same name in another account",
            allow(r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/entente-host"}"#),
            SESSION,
            DeniedByDefault,
        ),
        (
            "a role with a path covers its sessions",
            allow(r#""Principal":{"AWS":"arn:aws:iam::444455556666:role/deep/path/entente-host"}"#),
            SESSION,
            Allowed,
        ),
    ] {
        assert_eq!(verdict(&policy, &decrypt_by(caller)), expected, "{name}");
    }
}

#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    let allow = statement("Allow", r#""Principal":"*""#, r#""Action":"kms:*""#);
    let deny = |who: &str| statement("Deny", who, r#""Action":"kms:Decrypt""#);
    let everyone = deny(r#""Principal":"*""#);
    assert_eq!(verdict(&format!("{allow},{everyone}"), &decrypt()), DeniedExplicitly);
    assert_eq!(verdict(&format!("{everyone},{allow}"), &decrypt()), DeniedExplicitly);
    assert_eq!(verdict(&format!("{everyone},{allow}"), &plain(Action::Encrypt, HOST)), Allowed);
    // Denied: the account, and so everybody in it.
    let account = deny(r#""Principal":{"AWS":"111122223333"}"#);
    assert_eq!(verdict(&format!("{allow},{account}"), &plain(Action::Decrypt, USER)), DeniedExplicitly);
    assert_eq!(verdict(&format!("{allow},{account}"), &plain(Action::Decrypt, HOST)), Allowed);
    // Denied: the role, and so its sessions.
    let role = deny(&format!(r#""Principal":{{"AWS":"{HOST}"}}"#));
    assert_eq!(verdict(&format!("{allow},{role}"), &plain(Action::Decrypt, SESSION)), DeniedExplicitly);
}

#[test]
fn not_principal_spares_only_who_is_listed_at_every_level() {
    let allow = statement("Allow", r#""Principal":"*""#, r#""Action":"kms:*""#);
    let but = |list: &str| {
        format!(
            "{allow},{}",
            statement("Deny", &format!(r#""NotPrincipal":{{"AWS":[{list}]}}"#), r#""Action":"kms:*""#)
        )
    };
    let role_account = "arn:aws:iam::444455556666:root";
    for (list, caller, expected) in [
        (format!(r#""{ROOT}""#), ROOT, Allowed),
        (format!(r#""{ROOT}""#), HOST, DeniedExplicitly),
        (format!(r#""{ROOT}""#), USER, DeniedExplicitly),
        (format!(r#""{HOST}""#), HOST, DeniedExplicitly),
        (format!(r#""{HOST}","{role_account}""#), HOST, Allowed),
        (format!(r#""{HOST}","{role_account}""#), SESSION, DeniedExplicitly),
        (format!(r#""{SESSION}","{role_account}""#), SESSION, DeniedExplicitly),
        (format!(r#""{SESSION}","{HOST}","{role_account}""#), SESSION, Allowed),
    ] {
        assert_eq!(verdict(&but(&list), &plain(Action::Decrypt, caller)), expected, "{list} {caller}");
    }
}

#[test]
fn actions_and_resources() {
    let allow = |action: &str| statement("Allow", r#""Principal":"*""#, action);
    for (action, asked, expected) in [
        (r#""Action":"kms:Decrypt""#, Action::Decrypt, Allowed),
        (r#""Action":"KMS:decrypt""#, Action::Decrypt, Allowed),
        (r#""Action":"*""#, Action::PutKeyPolicy, Allowed),
        (r#""Action":"kms:*""#, Action::PutKeyPolicy, Allowed),
        (r#""Action":"kms:De*""#, Action::DeriveSharedSecret, Allowed),
        (r#""Action":"kms:De*t""#, Action::DescribeKey, DeniedByDefault),
        (r#""Action":"kms:ReEncrypt*""#, Action::ReEncryptFrom, Allowed),
        (r#""Action":"kms:GenerateDataKey""#, Action::GenerateDataKeyPair, DeniedByDefault),
        (r#""Action":"kms:????rypt""#, Action::Decrypt, DeniedByDefault),
        (r#""Action":"kms:?crypt""#, Action::Encrypt, DeniedByDefault),
        (r#""Action":"kms:??crypt""#, Action::Decrypt, Allowed),
        (r#""Action":["s3:GetObject","kms:Encrypt"]"#, Action::Encrypt, Allowed),
        (r#""Action":"s3:*""#, Action::Decrypt, DeniedByDefault),
        (r#""NotAction":"kms:Encrypt""#, Action::Decrypt, Allowed),
        (r#""NotAction":["kms:Encrypt","kms:De*"]"#, Action::Decrypt, DeniedByDefault),
    ] {
        assert_eq!(verdict(&allow(action), &plain(asked, HOST)), expected, "{action} {asked:?}");
    }
    let on = |resource: &str| format!(r#"{{"Effect":"Allow","Principal":"*","Action":"kms:*",{resource}}}"#);
    for (resource, expected) in [
        (r#""Resource":"*""#.to_owned(), Allowed),
        (format!(r#""Resource":"{KEY}""#), Allowed),
        (r#""Resource":"arn:aws:kms:*:111122223333:key/*""#.to_owned(), Allowed),
        (r#""Resource":"arn:aws:kms:us-east-1:111122223333:key/*""#.to_owned(), DeniedByDefault),
        (r#""Resource":"arn:aws:kms:*:key/*:x:y""#.to_owned(), DeniedByDefault),
        (format!(r#""NotResource":"{KEY}""#), DeniedByDefault),
        (r#""Resource":"arn:aws:kms:*:${aws:PrincipalAccount}:key/*""#.to_owned(), DeniedByDefault),
        (r#""Resource":"arn:aws:kms:*:*:key/${aws:username}""#.to_owned(), DeniedByDefault),
    ] {
        assert_eq!(verdict(&on(&resource), &decrypt()), expected, "{resource}");
    }
}

#[test]
fn attestation_conditions() {
    let pcr =
        |number: u8, byte: u8| format!(r#""kms:RecipientAttestation:PCR{number}":"{}""#, register(byte));
    let all = format!(
        r#"{{"StringEqualsIgnoreCase":{{"kms:RecipientAttestation:ImageSha384":"{}",{},{},{},{},{}}}}}"#,
        register(0xa0),
        pcr(0, 0xa0),
        pcr(1, 0xa1),
        pcr(2, 0xa2),
        pcr(16, 0xb0),
        pcr(17, 0xb1),
    );
    let one = |operator: &str, number: u8, byte: u8| format!(r#"{{"{operator}":{{{}}}}}"#, pcr(number, byte));
    let debug: AttestedRegisters =
        (0..16).map(|number| (number, vec![0; 48])).chain([(16, vec![0xb0; 48])]).collect();
    let in_debug_mode = plain(Action::Decrypt, HOST).with_recipient(&debug);
    for (name, conditions, request, expected) in [
        ("all registers", all.clone(), decrypt(), Allowed),
        ("no Recipient", all.clone(), plain(Action::Decrypt, HOST), DeniedByDefault),
        (
            "another principal with the same document",
            all.clone(),
            attested(Action::Decrypt, USER),
            DeniedByDefault,
        ),
        ("another input set", all.replace(&register(0xb1), &register(0xb2)), decrypt(), DeniedByDefault),
        (
            "hex in upper case",
            all.to_ascii_uppercase().replace("STRINGEQUALSIGNORECASE", "StringEqualsIgnoreCase"),
            decrypt(),
            Allowed,
        ),
        (
            "hex in upper case, compared exactly",
            one("StringEquals", 0, 0xa0).replace(&register(0xa0), &register(0xa0).to_uppercase()),
            decrypt(),
            DeniedByDefault,
        ),
        ("a register that the document lacks", one("StringEquals", 8, 0), decrypt(), DeniedByDefault),
        (
            "not this register, but no Recipient: a hole",
            one("StringNotEquals", 0, 0xee),
            plain(Action::Decrypt, HOST),
            Allowed,
        ),
        (
            "if it exists, and no Recipient: a hole",
            one("StringEqualsIfExists", 0, 0xa0),
            plain(Action::Decrypt, HOST),
            Allowed,
        ),
        ("if it exists, and it differs", one("StringEqualsIfExists", 0, 0xee), decrypt(), DeniedByDefault),
        (
            "for all of no values: a hole",
            one("ForAllValues:StringEquals", 0, 0xa0),
            plain(Action::Decrypt, HOST),
            Allowed,
        ),
        (
            "for any of no values",
            one("ForAnyValue:StringEquals", 0, 0xa0),
            plain(Action::Decrypt, HOST),
            DeniedByDefault,
        ),
        (
            "for any of no values, if it exists",
            one("ForAnyValue:StringEqualsIfExists", 0, 0xa0),
            plain(Action::Decrypt, HOST),
            DeniedByDefault,
        ),
        ("debug mode: zeros do not match", one("StringEquals", 0, 0), in_debug_mode.clone(), DeniedByDefault),
        (
            "debug mode: nor does another register",
            one("StringEquals", 16, 0xb0),
            in_debug_mode,
            DeniedByDefault,
        ),
        ("PCR16 alone: whatever image extends it", one("StringEquals", 16, 0xb0), decrypt(), Allowed),
        (
            "a list matches any of its values",
            format!(
                r#"{{"StringEquals":{{"kms:RecipientAttestation:PCR0":["{}","{}"]}}}}"#,
                register(1),
                register(0xa0)
            ),
            decrypt(),
            Allowed,
        ),
        (
            "a wildcard in an exact comparison is a character",
            one("StringEquals", 0, 0xa0).replace(&register(0xa0), "*"),
            decrypt(),
            DeniedByDefault,
        ),
        (
            "a wildcard in a pattern",
            one("StringLike", 0, 0xa0).replace(&register(0xa0), "*"),
            decrypt(),
            Allowed,
        ),
        (
            "even a wildcard wants a value",
            one("StringLike", 0, 0xa0).replace(&register(0xa0), "*"),
            plain(Action::Decrypt, HOST),
            DeniedByDefault,
        ),
        (
            "Null false: there must be a document",
            r#"{"Null":{"kms:RecipientAttestation:PCR0":"false"}}"#.to_owned(),
            decrypt(),
            Allowed,
        ),
        (
            "Null false without Recipient",
            r#"{"Null":{"kms:RecipientAttestation:PCR0":"false"}}"#.to_owned(),
            plain(Action::Decrypt, HOST),
            DeniedByDefault,
        ),
        (
            "Null true without Recipient",
            r#"{"Null":{"kms:RecipientAttestation:PCR0":true}}"#.to_owned(),
            plain(Action::Decrypt, HOST),
            Allowed,
        ),
        (
            "a document of an enclave is none of a NitroTPM",
            one("StringEquals", 0, 0xa0).replace("PCR0", "NitroTPMPCR0"),
            decrypt(),
            DeniedByDefault,
        ),
    ] {
        assert_eq!(verdict(&host_if(&conditions), &request), expected, "{name}");
    }
    // The keys do not exist for other actions, whatever the request carries.
    let any_action = host_if(&all).replace("kms:Decrypt", "kms:*");
    for (action, expected) in [
        (Action::Decrypt, Allowed),
        (Action::GenerateDataKey, Allowed),
        (Action::GenerateDataKeyPair, Allowed),
        (Action::GenerateRandom, Allowed),
        (Action::DeriveSharedSecret, Allowed),
        (Action::Encrypt, DeniedByDefault),
        (Action::Sign, DeniedByDefault),
        (Action::ReEncryptFrom, DeniedByDefault),
        (Action::PutKeyPolicy, DeniedByDefault),
        (Action::GenerateDataKeyWithoutPlaintext, DeniedByDefault),
    ] {
        assert_eq!(verdict(&any_action, &attested(action, HOST)), expected, "{action:?}");
    }
    // A wide second statement defeats the narrow one; a Deny for everything else mends it.
    let wide = format!("{},{}", host_if(&all), host_if(r"{}"));
    assert_eq!(verdict(&wide, &plain(Action::Decrypt, HOST)), Allowed);
    let mended = format!(
        r#"{wide},{{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{}}}"#,
        one("StringNotEqualsIgnoreCase", 0, 0xa0)
    );
    assert_eq!(verdict(&mended, &plain(Action::Decrypt, HOST)), DeniedExplicitly);
    assert_eq!(verdict(&mended, &decrypt()), Allowed);
}

#[test]
fn lists_match_crosswise() {
    // Meant: agreement 1 with image A, or agreement 2 with image B. Said: any agreement with any image.
    let policy = host_if(&format!(
        r#"{{"StringEquals":{{"kms:RecipientAttestation:PCR0":["{}","{}"],"kms:EncryptionContext:entente-agreement":["c0ffee","decaf"]}}}}"#,
        register(0xa0),
        register(0xa9)
    ));
    let mut crossed = context();
    crossed.insert("entente-agreement".to_owned(), "decaf".to_owned());
    let request = AccessRequest::new(Action::Decrypt, &principal(HOST), &key(), NOW)
        .with_encryption_context(&crossed)
        .with_recipient(&registers());
    assert_eq!(verdict(&policy, &request), Allowed);
}

#[test]
fn encryption_context_conditions() {
    for (conditions, expected) in [
        (r#"{"StringEquals":{"kms:EncryptionContext:entente-dataset":"bids"}}"#, Allowed),
        (r#"{"StringEquals":{"kms:encryptioncontext:Entente-Dataset":"bids"}}"#, Allowed),
        (r#"{"StringEquals":{"kms:EncryptionContext:entente-dataset":"Bids"}}"#, DeniedByDefault),
        (r#"{"StringEquals":{"kms:EncryptionContext:other":"bids"}}"#, DeniedByDefault),
        (
            r#"{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["entente-agreement","entente-dataset"]}}"#,
            Allowed,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["entente-agreement"]}}"#,
            DeniedByDefault,
        ),
        (r#"{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["entente-agreement","x"]}}"#, Allowed),
        (r#"{"ForAnyValue:StringNotEquals":{"kms:EncryptionContextKeys":["entente-agreement"]}}"#, Allowed),
        (
            r#"{"ForAllValues:StringNotEquals":{"kms:EncryptionContextKeys":["entente-agreement"]}}"#,
            DeniedByDefault,
        ),
        (r#"{"ForAllValues:StringLike":{"kms:EncryptionContextKeys":"entente-*"}}"#, Allowed),
        (r#"{"Null":{"kms:EncryptionContextKeys":"false"}}"#, Allowed),
    ] {
        assert_eq!(verdict(&host_if(conditions), &decrypt()), expected, "{conditions}");
    }
    // Names in a context have case, names of condition keys have not: both values must hold to allow, one is enough to deny.
    let mut twice = context();
    twice.insert("Entente-Dataset".to_owned(), "offers".to_owned());
    let request =
        AccessRequest::new(Action::Decrypt, &principal(HOST), &key(), NOW).with_encryption_context(&twice);
    let conditions = r#"{"StringEquals":{"kms:EncryptionContext:entente-dataset":"bids"}}"#;
    assert_eq!(verdict(&host_if(conditions), &request), DeniedByDefault);
    assert_eq!(verdict(&deny_if(conditions), &request), DeniedExplicitly);
}

#[test]
fn other_operators() {
    for (conditions, expected) in [
        // One block: all must hold. Several values: one is enough.
        (
            r#"{"StringEquals":{"aws:PrincipalAccount":"444455556666"},"Bool":{"aws:SecureTransport":"true"}}"#,
            Allowed,
        ),
        (
            r#"{"StringEquals":{"aws:PrincipalAccount":"444455556666"},"Bool":{"aws:SecureTransport":false}}"#,
            DeniedByDefault,
        ),
        (r#"{"StringEquals":{"aws:PrincipalAccount":["1","444455556666"]}}"#, Allowed),
        (r#"{"StringNotEquals":{"aws:PrincipalAccount":["1","444455556666"]}}"#, DeniedByDefault),
        (r#"{"StringNotEquals":{"aws:PrincipalAccount":["1","2"]}}"#, Allowed),
        (r#"{"StringNotLike":{"aws:PrincipalArn":"*host"}}"#, DeniedByDefault),
        // Dates.
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:01Z"}}"#, Allowed),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}}"#, DeniedByDefault),
        (r#"{"DateLessThanEquals":{"aws:CurrentTime":"2026-06-01"}}"#, Allowed),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-06-01T01:59:00+02:00"}}"#, Allowed),
        (r#"{"DateLessThan":{"aws:CurrentTime":"1780272001"}}"#, Allowed),
        (r#"{"DateLessThan":{"aws:CurrentTime":1780272000}}"#, DeniedByDefault),
        (r#"{"NumericLessThan":{"aws:EpochTime":"1780272001"}}"#, Allowed),
        (r#"{"DateEquals":{"aws:EpochTime":"2026-06-01T00:00:00Z"}}"#, Allowed),
        (r#"{"DateNotEquals":{"aws:EpochTime":"2026-06-01T00:00:00Z"}}"#, DeniedByDefault),
        (r#"{"DateLessThan":{"aws:TokenIssueTime":"2030-01-01"}}"#, DeniedByDefault),
        (r#"{"DateLessThanIfExists":{"aws:TokenIssueTime":"2030-01-01"}}"#, Allowed),
        // Numbers.
        (r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}"#, DeniedByDefault),
        (r#"{"NumericLessThanIfExists":{"aws:MultiFactorAuthAge":3600}}"#, Allowed),
        (r#"{"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}}"#, Allowed),
        (r#"{"NumericGreaterThanEquals":{"aws:PrincipalArn":0}}"#, DeniedByDefault),
        // A key that is absent is not false.
        (r#"{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#, DeniedByDefault),
        (r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#, Allowed),
        // Addresses.
        (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, Allowed),
        (r#"{"IpAddress":{"aws:SourceIp":["198.51.100.0/24","2001:db8::/32"]}}"#, DeniedByDefault),
        (r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, DeniedByDefault),
        (r#"{"NotIpAddress":{"aws:VpcSourceIp":"203.0.113.0/24"}}"#, Allowed),
        (r#"{"StringLike":{"aws:SourceIp":"203.*"}}"#, Allowed),
        // ARNs.
        (r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::444455556666:role/entente-host"}}"#, Allowed),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/entente-*"}}"#, Allowed),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:role/entente-*:a:b"}}"#, DeniedByDefault),
        (r#"{"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::bucket"}}"#, Allowed),
        (r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::bucket"}}"#, DeniedByDefault),
        (r#"{"ArnLike":{"aws:PrincipalAccount":"arn:*:*:*:*:*"}}"#, DeniedByDefault),
        // Case.
        (r#"{"StringEquals":{"AWS:principaltype":"AssumedRole"}}"#, Allowed),
        (r#"{"StringEquals":{"aws:PrincipalType":"assumedrole"}}"#, DeniedByDefault),
        (r#"{"StringNotEqualsIgnoreCase":{"aws:PrincipalType":"assumedrole"}}"#, DeniedByDefault),
        (r#"{"Null":{"aws:username":["true","false"]}}"#, Allowed),
        ("{}", Allowed),
    ] {
        assert_eq!(verdict(&host_if(conditions), &decrypt()), expected, "{conditions}");
    }
}

#[test]
fn binary_values_and_unusual_facts() {
    let spec = ConditionKey::parse("kms:KeySpec").unwrap();
    let request = decrypt().with_fact(&spec, "SYMMETRIC_DEFAULT");
    assert_eq!(
        verdict(&host_if(r#"{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}"#), &request),
        Allowed
    );
    let tag = ConditionKey::parse("aws:PrincipalTag/Blob").unwrap();
    let request = decrypt().with_fact(&tag, "QmluYXJ5");
    assert_eq!(
        verdict(&host_if(r#"{"BinaryEquals":{"aws:PrincipalTag/blob":"QmluYXJ5"}}"#), &request),
        Allowed
    );
    assert_eq!(
        verdict(&host_if(r#"{"BinaryEquals":{"aws:PrincipalTag/blob":"AAAA"}}"#), &request),
        DeniedByDefault
    );
}

#[test]
fn variables() {
    let alice =
        |conditions: &str| verdict(&host_if(conditions).replace(HOST, USER), &plain(Action::Decrypt, USER));
    let host = |conditions: &str| verdict(&host_if(conditions), &decrypt());
    let tag = ConditionKey::parse("aws:PrincipalTag/Team").unwrap();
    let tagged =
        |value: &str, conditions: &str| verdict(&host_if(conditions), &decrypt().with_fact(&tag, value));
    assert_eq!(alice(r#"{"StringEquals":{"aws:username":"alice"}}"#), Allowed);
    assert_eq!(alice(r#"{"StringLike":{"aws:PrincipalArn":"*/${aws:username}"}}"#), Allowed);
    // Without a value a variable equals nothing: it is not the empty string.
    assert_eq!(host(r#"{"StringLike":{"aws:PrincipalArn":"*${aws:username}"}}"#), DeniedByDefault);
    assert_eq!(host(r#"{"StringNotLike":{"aws:PrincipalArn":"*${aws:username}"}}"#), Allowed);
    assert_eq!(host(r#"{"StringLike":{"aws:PrincipalArn":["*${aws:username}","*host"]}}"#), Allowed);
    assert_eq!(host(r#"{"StringLike":{"aws:PrincipalArn":"*${aws:username, 'host'}"}}"#), Allowed);
    // A value is text: its asterisk is no wildcard.
    assert_eq!(
        tagged("*", r#"{"StringLike":{"kms:EncryptionContext:entente-dataset":"${aws:PrincipalTag/Team}"}}"#),
        DeniedByDefault
    );
    assert_eq!(
        tagged(
            "bids",
            r#"{"StringLike":{"kms:EncryptionContext:entente-dataset":"${aws:PrincipalTag/Team}"}}"#
        ),
        Allowed
    );
    assert_eq!(tagged("*", r#"{"StringEquals":{"aws:PrincipalTag/team":"${*}"}}"#), Allowed);
    // Several values: which one would be meant?
    let many = decrypt().with_fact(&tag, "bids").with_fact(&tag, "offers");
    assert_eq!(
        verdict(
            &host_if(
                r#"{"StringEquals":{"kms:EncryptionContext:entente-dataset":"${aws:PrincipalTag/Team}"}}"#
            ),
            &many
        ),
        DeniedByDefault
    );
    // Policies of the older version have no variables.
    let old = format!(
        r#"{{"Statement":{}}}"#,
        host_if(r#"{"StringEquals":{"aws:PrincipalAccount":"${aws:PrincipalAccount}"}}"#)
    );
    assert_eq!(KeyPolicy::parse(&old).unwrap().evaluate(&decrypt()).verdict(), DeniedByDefault);
    assert_eq!(host(r#"{"StringEquals":{"aws:PrincipalAccount":"${aws:PrincipalAccount}"}}"#), Allowed);
}

#[test]
fn a_deny_holds_where_its_condition_does() {
    for (conditions, expected) in [
        (r#"{"Bool":{"aws:SecureTransport":"false"}}"#, Allowed),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, DeniedExplicitly),
        (r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, DeniedExplicitly),
        (r#"{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}"#, DeniedExplicitly),
        (r#"{"Null":{"kms:RecipientAttestation:ImageSha384":"true"}}"#, Allowed),
    ] {
        assert_eq!(verdict(&deny_if(conditions), &decrypt()), expected, "{conditions}");
    }
}

#[test]
fn the_decision_names_its_statement() {
    let policy = KeyPolicy::parse(&format!(
        r#"{{"Version":"2012-10-17","Id":"x","Statement":[{},{{"Sid":"the host","Effect":"Allow","Principal":{{"AWS":"{HOST}"}},"Action":"kms:Decrypt","Resource":"*"}}]}}"#,
        statement("Allow", &format!(r#""Principal":{{"AWS":"{ROOT}"}}"#), r#""Action":"kms:*""#)
    ))
    .unwrap();
    let decision = policy.evaluate(&decrypt());
    assert_eq!(decision.statement().map(|s| (s.index(), s.sid())), Some((1, Some("the host"))));
    let decision = policy.evaluate(&plain(Action::Decrypt, ROOT));
    assert_eq!(decision.statement().map(|s| (s.index(), s.sid())), Some((0, None)));
    assert_eq!(policy.evaluate(&plain(Action::Decrypt, USER)).statement(), None);
}

#[test]
fn what_is_not_the_language_is_refused() {
    let good = r#"{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}"#;
    let with = |from: &str, to: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, good.replace(from, to))
    };
    let condition =
        |block: &str| with(r#""Resource":"*""#, &format!(r#""Resource":"*","Condition":{block}"#));
    let text = |text: &str| text.to_owned();
    let wrong = |element| PolicyFault::WrongType { element };
    let value = |operator: &str, value: &str| PolicyFault::Value {
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    for (document, expected) in [
        (with("Effect", "effect"), PolicyFault::UnknownElement { name: text("effect") }),
        (with(r#""Effect":"Allow","#, ""), PolicyFault::Missing { element: "Effect" }),
        (with("Allow", "allow"), PolicyFault::Effect { text: text("allow") }),
        (with(r#""Principal":"*","#, ""), PolicyFault::Missing { element: "Principal" }),
        (with("Principal", "NotPrincipal"), PolicyFault::NotPrincipalAllows),
        (
            with(r#""Principal":"*""#, r#""Principal":"*","NotPrincipal":"*""#),
            PolicyFault::Both { element: "Principal" },
        ),
        (with(r#""Principal":"*""#, r#""Principal":"arn:aws:iam::111122223333:root""#), wrong("Principal")),
        (with(r#""Principal":"*""#, r#""Principal":{}"#), wrong("Principal")),
        (with(r#""Principal":"*""#, r#""Principal":{"AWS":[]}"#), wrong("Principal")),
        (
            with(r#""Principal":"*""#, r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/*"}"#),
            PolicyFault::Principal { kind: text("AWS"), name: text("arn:aws:iam::111122223333:role/*") },
        ),
        (
            with(r#""Principal":"*""#, r#""Principal":{"AWS":"12345"}"#),
            PolicyFault::Principal { kind: text("AWS"), name: text("12345") },
        ),
        (
            with(r#""Principal":"*""#, r#""Principal":{"aws":"*"}"#),
            PolicyFault::Principal { kind: text("aws"), name: text("*") },
        ),
        (with("kms:*", "Decrypt"), PolicyFault::Action { text: text("Decrypt") }),
        (with("kms:*", "kms:Dec rypt"), PolicyFault::Action { text: text("kms:Dec rypt") }),
        (with(r#""Action":"kms:*""#, r#""Action":[]"#), wrong("Action")),
        (
            with(r#""Action":"kms:*""#, r#""Action":"kms:*","NotAction":"kms:*""#),
            PolicyFault::Both { element: "Action" },
        ),
        (with(r#","Resource":"*""#, ""), PolicyFault::Missing { element: "Resource" }),
        (with(r#""Resource":"*""#, r#""Resource":"key/*""#), PolicyFault::Resource { text: text("key/*") }),
        (condition("[]"), wrong("Condition")),
        (condition(r#"{"Bool":"x"}"#), wrong("Condition")),
        (condition(r#"{"Bool":{"aws:SecureTransport":[]}}"#), wrong("Condition")),
        (condition(r#"{"Bool":{"aws:SecureTransport":null}}"#), wrong("Condition")),
        (condition(r#"{"StringMatches":{}}"#), PolicyFault::UnknownOperator { name: text("StringMatches") }),
        (
            condition(r#"{"NullIfExists":{"aws:username":"true"}}"#),
            PolicyFault::UnknownOperator { name: text("NullIfExists") },
        ),
        (
            condition(r#"{"StringEquals":{"kms:RecipientAttestation:PCR32":"x"}}"#),
            PolicyFault::UnknownConditionKey { name: text("kms:RecipientAttestation:PCR32") },
        ),
        (
            condition(r#"{"StringEquals":{"kms:EncryptionContextKeys":"x"}}"#),
            PolicyFault::SetOperatorNeeded { key: text("kms:EncryptionContextKeys") },
        ),
        (condition(r#"{"DateLessThan":{"aws:CurrentTime":"soon"}}"#), value("DateLessThan", "soon")),
        (
            condition(r#"{"DateLessThan":{"aws:CurrentTime":"${aws:TokenIssueTime}"}}"#),
            value("DateLessThan", "${aws:TokenIssueTime}"),
        ),
        (condition(r#"{"NumericEquals":{"aws:EpochTime":"1e9"}}"#), value("NumericEquals", "1e9")),
        (condition(r#"{"Bool":{"aws:SecureTransport":"yes"}}"#), value("Bool", "yes")),
        (
            condition(r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/33"}}"#),
            value("IpAddress", "203.0.113.0/33"),
        ),
        (condition(r#"{"ArnLike":{"aws:PrincipalArn":"*"}}"#), value("ArnLike", "*")),
        (
            condition(r#"{"StringEquals":{"aws:userid":"${aws:nothing}"}}"#),
            value("StringEquals", "${aws:nothing}"),
        ),
        (
            text(r#"{"Version":"2026-01-01","Statement":[]}"#),
            PolicyFault::Version { text: text("2026-01-01") },
        ),
        (text(r#"{"Version":"2012-10-17"}"#), PolicyFault::Missing { element: "Statement" }),
        (text(r#"{"Statement":[]}"#), wrong("Statement")),
        (text("[]"), wrong("policy document")),
        (
            format!("{}{}", with("", ""), " ".repeat(32_768)),
            PolicyFault::TooLong { length: with("", "").len() + 32_768 },
        ),
    ] {
        assert_eq!(KeyPolicy::parse(&document).unwrap_err().fault(), &expected, "{document}");
    }
    for document in [
        with(r#""Effect":"Allow""#, r#""Effect":"Deny","Effect":"Allow""#),
        condition(r#"{"Bool":{"aws:SecureTransport":"true"},"Bool":{"aws:SecureTransport":"false"}}"#),
        text(""),
        text("{"),
        format!("{} x", with("", "")),
        "[".repeat(30_000),
    ] {
        assert!(
            matches!(KeyPolicy::parse(&document).unwrap_err().fault(), PolicyFault::Json { .. }),
            "{document}"
        );
    }
    let error = KeyPolicy::parse(&with("kms:*", "x")).unwrap_err();
    assert_eq!(
        (error.statement(), error.to_string().as_str()),
        (Some(0), "statement 1: \"x\" is not an action")
    );
}

#[test]
fn mutated_policies_never_panic() {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        host_if(
            r#"{"StringLike":{"aws:PrincipalArn":"*${aws:username, 'x'}"},"DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"},"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#
        )
    );
    let mut state = 7_u64;
    let mut next = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..10_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(128)).unwrap(),
                1 => {
                    bytes.remove(at);
                }
                _ => bytes.insert(at, b"\"{}[]:,$*'\\0"[next(12)]),
            }
        }
        if let Ok(policy) = KeyPolicy::parse(&String::from_utf8(bytes).unwrap()) {
            let _ = policy.evaluate(&decrypt()).verdict();
            assert_eq!(KeyPolicy::parse(&policy.to_json()).unwrap(), policy);
        }
    }
}
