//! The protocol byte by byte: signatures, limits, malformed requests.

mod support;

use entente_attestation::UnixTime;
use entente_keyservice::sigv4::{Scope, sign};
use serde_json::json;
use support::{REGION, Running, access_key, now};

fn minutes(from: UnixTime, minutes: i64) -> UnixTime {
    UnixTime::from_millis(from.as_millis().saturating_add_signed(minutes * 60_000))
}

#[tokio::test]
async fn signatures() {
    let running = Running::start().await;
    let listed = running.post("ListKeys", "{}").await;
    assert_eq!((listed.status, &listed.body), (200, &json!({ "Keys": [], "Truncated": false })));

    for (offset, expected) in
        [(-4, ""), (4, ""), (-6, "InvalidSignatureException"), (6, "InvalidSignatureException")]
    {
        let answer = running.post_as(&running.owner, "ListKeys", "{}", minutes(now(), offset)).await;
        assert_eq!(answer.exception(), expected, "{offset} min");
    }

    let host = running.address.to_string();
    let signed = |key, scope: &Scope, body: &[u8]| -> Vec<(String, String)> {
        sign(&host, "TrentService.ListKeys", body, &key, scope, now())
            .iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()))
            .collect()
    };
    let (id, secret) = (running.owner.access_key().id(), running.owner.access_key().expose_secret());
    let right = Scope::new(REGION, "kms");
    let line = "POST / HTTP/1.1";
    let good = signed(access_key(id, secret), &right, b"{}");
    assert_eq!(running.send(line, &good, b"{}").await.status, 200);
    let without =
        |name: &str| -> Vec<_> { good.iter().filter(|(header, _)| header != name).cloned().collect() };
    let with = |name: &str, value: &str| -> Vec<_> {
        without(name).into_iter().chain([(name.to_owned(), value.to_owned())]).collect()
    };
    let plus = |name: &str, value: &str| -> Vec<_> {
        good.iter().cloned().chain([(name.to_owned(), value.to_owned())]).collect()
    };
    for (name, headers, body, expected) in [
        ("another body", good.clone(), &b"{ }"[..], "InvalidSignatureException"),
        (
            "a wrong secret",
            signed(access_key(id, "wrong"), &right, b"{}"),
            b"{}",
            "InvalidSignatureException",
        ),
        (
            "an unknown access key",
            signed(access_key("AKIAUNKNOWN", secret), &right, b"{}"),
            b"{}",
            "UnrecognizedClientException",
        ),
        (
            "another region",
            signed(access_key(id, secret), &Scope::new("us-east-1", "kms"), b"{}"),
            b"{}",
            "InvalidSignatureException",
        ),
        (
            "another service",
            signed(access_key(id, secret), &Scope::new(REGION, "s3"), b"{}"),
            b"{}",
            "InvalidSignatureException",
        ),
        (
            "another operation",
            with("x-amz-target", "TrentService.CreateKey"),
            b"{}",
            "InvalidSignatureException",
        ),
        ("another date", with("x-amz-date", "20200101T000000Z"), b"{}", "InvalidSignatureException"),
        ("no date", without("x-amz-date"), b"{}", "InvalidSignatureException"),
        ("no authorization", without("authorization"), b"{}", "MissingAuthenticationTokenException"),
        ("another scheme", with("authorization", "Basic eDp5"), b"{}", "IncompleteSignatureException"),
        (
            "half a header",
            with("authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request"),
            b"{}",
            "IncompleteSignatureException",
        ),
        ("an unsigned header", plus("x-amz-security-token", "x"), b"{}", "InvalidSignatureException"),
        ("no operation", without("x-amz-target"), b"{}", "UnknownOperationException"),
        (
            "another API",
            with("x-amz-target", "DynamoDB_20120810.ListTables"),
            b"{}",
            "UnknownOperationException",
        ),
        (
            "another content type",
            with("content-type", "application/json"),
            b"{}",
            "UnknownOperationException",
        ),
    ] {
        let answer = running.send(line, &headers, body).await;
        assert_eq!((answer.status, answer.exception()), (400, expected), "{name}");
    }
    for line in ["GET / HTTP/1.1", "POST /x HTTP/1.1", "POST /?a=b HTTP/1.1"] {
        assert_eq!(running.send(line, &good, b"{}").await.exception(), "UnknownOperationException", "{line}");
    }
}

#[tokio::test]
async fn bad_bodies() {
    let running = Running::start().await;
    let made = running.post("CreateKey", "{}").await;
    let id = made.body["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let deep = "[".repeat(100_000);
    let long = "A".repeat(4 * 4100 / 3 / 4 * 4);
    for (target, body, expected) in [
        ("Nothing", "{}".to_owned(), "UnknownOperationException"),
        ("Encrypt", String::new(), "SerializationException"),
        ("Encrypt", "[".to_owned(), "SerializationException"),
        ("Encrypt", deep, "SerializationException"),
        ("Encrypt", r#"{"KeyId":"a","KeyId":"b"}"#.to_owned(), "SerializationException"),
        ("Encrypt", r#"{"KeyId":7}"#.to_owned(), "SerializationException"),
        ("Encrypt", r#"{"KeyId":"x"}"#.to_owned(), "ValidationException"),
        ("Encrypt", r#"{"Plaintext":"AA=="}"#.to_owned(), "ValidationException"),
        ("Encrypt", r#"{"KeyId":"x","Plaintext":"?"}"#.to_owned(), "SerializationException"),
        ("Encrypt", r#"{"KeyId":"x","Plaintext":""}"#.to_owned(), "ValidationException"),
        ("Encrypt", format!(r#"{{"KeyId":"{id}","Plaintext":"{long}"}}"#), "ValidationException"),
        ("Encrypt", r#"{"KeyId":"x","Plaintext":"AA=="}"#.to_owned(), "NotFoundException"),
        ("Encrypt", r#"{"KeyId":"alias/x","Plaintext":"AA=="}"#.to_owned(), "NotFoundException"),
        (
            "Encrypt",
            r#"{"KeyId":"arn:aws:kms:us-east-1:111122223333:key/x","Plaintext":"AA=="}"#.to_owned(),
            "NotFoundException",
        ),
        ("Encrypt", r#"{"KeyId":"../../etc/passwd","Plaintext":"AA=="}"#.to_owned(), "NotFoundException"),
        (
            "Encrypt",
            format!(r#"{{"KeyId":"{id}","Plaintext":"AA==","EncryptionAlgorithm":"X"}}"#),
            "ValidationException",
        ),
        (
            "Encrypt",
            format!(r#"{{"KeyId":"{id}","Plaintext":"AA==","EncryptionContext":{{"":"x"}}}}"#),
            "ValidationException",
        ),
        (
            "Encrypt",
            format!(r#"{{"KeyId":"{id}","Plaintext":"AA==","DryRun":true}}"#),
            "DryRunOperationException",
        ),
        ("Decrypt", r#"{"CiphertextBlob":"AAAA"}"#.to_owned(), "InvalidCiphertextException"),
        ("Decrypt", format!(r#"{{"CiphertextBlob":"{}"}}"#, "A".repeat(8200)), "ValidationException"),
        ("Decrypt", format!(r#"{{"CiphertextBlob":"AQ{}"}}"#, "A".repeat(98)), "AccessDeniedException"),
        ("GenerateDataKey", format!(r#"{{"KeyId":"{id}"}}"#), "ValidationException"),
        (
            "GenerateDataKey",
            format!(r#"{{"KeyId":"{id}","KeySpec":"AES_256","NumberOfBytes":32}}"#),
            "ValidationException",
        ),
        ("GenerateDataKey", format!(r#"{{"KeyId":"{id}","NumberOfBytes":1025}}"#), "ValidationException"),
        ("GenerateRandom", r#"{"NumberOfBytes":0}"#.to_owned(), "ValidationException"),
        ("CreateKey", r#"{"KeySpec":"RSA_2048"}"#.to_owned(), "UnsupportedOperationException"),
        ("CreateKey", r#"{"Policy":"{}"}"#.to_owned(), "MalformedPolicyDocumentException"),
        ("ListKeys", r#"{"Limit":1001}"#.to_owned(), "ValidationException"),
        (
            "ScheduleKeyDeletion",
            format!(r#"{{"KeyId":"{id}","PendingWindowInDays":6}}"#),
            "ValidationException",
        ),
        ("GetKeyPolicy", format!(r#"{{"KeyId":"{id}","PolicyName":"other"}}"#), "NotFoundException"),
    ] {
        let answer = running.post(target, &body).await;
        assert_eq!(
            (answer.status, answer.exception()),
            (400, expected),
            "{target} {}",
            body.get(..100).unwrap_or(&body)
        );
    }
    let huge = format!(r#"{{"Plaintext":"{}"}}"#, "A".repeat(600_000));
    let answer = running.post("Encrypt", &huge).await;
    assert!(answer.status == 0 || answer.exception() == "RequestEntityTooLargeException", "{answer:?}");
}

#[tokio::test]
async fn mutated_requests_are_refused_and_never_end_the_service() {
    let running = Running::start().await;
    let made = running.post("CreateKey", "{}").await;
    let id = made.body["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let body = format!(
        r#"{{"KeyId":"{id}","Plaintext":"AAAA","EncryptionContext":{{"a":"b"}},"Recipient":{{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"hEShATgioA=="}}}}"#
    );
    let mut state = 3_u64;
    let mut next = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for round in 0..300 {
        let mut mutant = body.clone().into_bytes();
        let at = next(mutant.len());
        match next(3) {
            0 => mutant[at] = u8::try_from(next(128)).unwrap(),
            1 => mutant.truncate(at),
            _ => mutant.insert(at, u8::try_from(next(128)).unwrap()),
        }
        let target = ["Encrypt", "Decrypt", "GenerateDataKey", "PutKeyPolicy"][round % 4];
        let answer = running.post(target, &String::from_utf8(mutant).unwrap()).await;
        assert!([200, 400].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(running.post("ListKeys", "{}").await.status, 200);
}
