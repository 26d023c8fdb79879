//! The bytes of AWS's `nsm-api`, both ways, and what is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use entente_attestation::Digest384;
use entente_nsm::codec::{
    AttestationRequest, CodecError, Lock, MAX_OPTIONAL, MAX_REQUEST, MAX_RESPONSE, ModuleDescription,
    NsmErrorCode, PcrDigest, PcrState, Request, Response,
};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/nsm/nsm-wire.tsv");

fn request(name: &str) -> Request {
    let attestation = |user_data, nonce, public_key| {
        Request::Attestation(AttestationRequest { user_data, nonce, public_key })
    };
    match name {
        "DescribePCR(0)" => Request::DescribePcr { index: 0 },
        "DescribePCR(31)" => Request::DescribePcr { index: 31 },
        "ExtendPCR(16,010203)" => Request::ExtendPcr { index: 16, data: vec![1, 2, 3] },
        "LockPCR(16)" => Request::LockPcr { index: 16 },
        "LockPCRs(32)" => Request::LockPcrs { range: 32 },
        "DescribeNSM" => Request::DescribeNsm,
        "GetRandom" => Request::GetRandom,
        "Attestation(null,null,null)" => attestation(None, None, None),
        "Attestation(ud=aa,nonce=bb,pk=cc)" => {
            attestation(Some(vec![0xaa]), Some(vec![0xbb]), Some(vec![0xcc]))
        }
        other => panic!("no such vector is known here: {other}"),
    }
}

fn response(name: &str) -> Response {
    let error = Response::Error;
    match name {
        "DescribePCR(lock=true,48x00)" => {
            Response::DescribePcr(PcrState { lock: Lock::Locked, value: Digest384::ZERO })
        }
        "ExtendPCR(48x11)" => Response::ExtendPcr { data: Digest384::from_bytes([0x11; 48]) },
        "LockPCR" => Response::LockPcr,
        "LockPCRs" => Response::LockPcrs,
        "DescribeNSM(1.0.0,32 pcrs,0..15 locked)" => Response::DescribeNsm(ModuleDescription {
            version_major: 1,
            version_minor: 0,
            version_patch: 0,
            module_id: "i-1234567890abcdef0-enc9876543210abcde".to_owned(),
            max_pcrs: 32,
            locked_pcrs: (0..16).collect(),
            digest: PcrDigest::Sha384,
        }),
        "Attestation(doc=8444)" => Response::Attestation { document: vec![0x84, 0x44] },
        "GetRandom(00ff)" => Response::GetRandom { random: vec![0, 0xff] },
        "Error Success" => error(NsmErrorCode::Success),
        "Error InvalidArgument" => error(NsmErrorCode::InvalidArgument),
        "Error InvalidIndex" => error(NsmErrorCode::InvalidIndex),
        "Error InvalidResponse" => error(NsmErrorCode::InvalidResponse),
        "Error ReadOnlyIndex" => error(NsmErrorCode::ReadOnlyIndex),
        "Error InvalidOperation" => error(NsmErrorCode::InvalidOperation),
        "Error BufferTooSmall" => error(NsmErrorCode::BufferTooSmall),
        "Error InputTooLarge" => error(NsmErrorCode::InputTooLarge),
        "Error InternalError" => error(NsmErrorCode::InternalError),
        other => panic!("no such vector is known here: {other}"),
    }
}

/// The vectors as (line, bytes); none when the directory is not there (then CI fails).
fn vectors() -> Vec<(String, Vec<u8>)> {
    let Ok(text) = std::fs::read_to_string(VECTORS) else {
        assert!(std::env::var_os("CI").is_none(), "{VECTORS} is missing");
        println!("skipped: {VECTORS} is missing");
        return Vec::new();
    };
    let line = |line: &str| {
        let (name, bytes) = line.split_once('\t').unwrap();
        (name.to_owned(), hex::decode(bytes).unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn the_bytes_are_those_of_nsm_api() {
    for (name, bytes) in vectors() {
        if let Some(name) = name.strip_prefix("req ") {
            assert_eq!(hex::encode(request(name).encode().unwrap()), hex::encode(&bytes), "{name}");
            assert_eq!(Request::decode(&bytes), Ok(request(name)), "{name}");
        } else {
            let name = name.strip_prefix("resp ").unwrap();
            assert_eq!(hex::encode(response(name).encode().unwrap()), hex::encode(&bytes), "{name}");
            assert_eq!(Response::decode(&bytes), Ok(response(name)), "{name}");
        }
    }
}

#[test]
fn every_cut_and_every_extension_of_a_message_is_refused() {
    for (name, bytes) in vectors() {
        for end in 0..bytes.len() {
            let cut = bytes.get(..end).unwrap();
            assert!(Request::decode(cut).is_err() && Response::decode(cut).is_err(), "{name} cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0xf6);
        let trailing = CodecError::TrailingBytes { count: 1 };
        if name.starts_with("req") {
            assert_eq!(Request::decode(&longer), Err(trailing), "{name}");
        } else {
            assert_eq!(Response::decode(&longer), Err(trailing), "{name}");
        }
    }
}

#[test]
fn every_wrong_byte_gives_an_error_or_another_message_that_encodes_again() {
    for (name, bytes) in vectors() {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                *wrong.get_mut(at).unwrap() ^= 1 << bit;
                if let Ok(read) = Request::decode(&wrong) {
                    assert_eq!(
                        Request::decode(&read.encode().unwrap()),
                        Ok(read),
                        "{name}, byte {at}, bit {bit}"
                    );
                }
                if let Ok(read) = Response::decode(&wrong) {
                    assert_eq!(
                        Response::decode(&read.encode().unwrap()),
                        Ok(read),
                        "{name}, byte {at}, bit {bit}"
                    );
                }
            }
        }
    }
}

fn request_error(hex_text: &str) -> CodecError {
    Request::decode(&hex::decode(hex_text).unwrap()).unwrap_err()
}

fn response_error(hex_text: &str) -> CodecError {
    Response::decode(&hex::decode(hex_text).unwrap()).unwrap_err()
}

#[test]
fn each_kind_of_wrong_message_has_its_error() {
    // "GetRandom" as a map, and DescribePCR as a text: the other form of a variant is another variant.
    assert_eq!(request_error("a16947657452616e646f6da0"), CodecError::UnknownVariant);
    assert_eq!(request_error("6b4465736372696265504352"), CodecError::UnknownVariant);
    // {"DescribePCR": {"index": 0, "index": 0}}
    assert_eq!(
        request_error("a16b4465736372696265504352a265696e6465780065696e64657800"),
        CodecError::DuplicateField { field: "index" }
    );
    // {"DescribePCR": {}}
    assert_eq!(request_error("a16b4465736372696265504352a0"), CodecError::MissingField { field: "index" });
    // {"DescribePCR": {"indey": 0}}
    assert_eq!(
        request_error("a16b4465736372696265504352a165696e64657900"),
        CodecError::UnknownField { at: 14 }
    );
    // {"DescribePCR": {"index": 65536}}: does not fit the field
    assert_eq!(
        request_error("a16b4465736372696265504352a165696e6465781a00010000"),
        CodecError::Malformed { at: 20 }
    );
    // indefinite map outside and inside
    assert_eq!(
        request_error("bf6b4465736372696265504352a165696e64657800ff"),
        CodecError::Malformed { at: 0 }
    );
    assert_eq!(
        request_error("a16b4465736372696265504352bf65696e64657800ff"),
        CodecError::Malformed { at: 13 }
    );
    // a map that says it has 2^64-1 entries
    assert_eq!(
        request_error("a16b4465736372696265504352bbffffffffffffffff65696e64657800"),
        CodecError::Malformed { at: 29 }
    );
    // a register of 47 bytes
    let short = format!("a169457874656e64504352a16464617461582f{}", "11".repeat(47));
    assert_eq!(response_error(&short), CodecError::FieldLength { field: "data", found: 47 });
    // an error code of no NSM
    assert_eq!(response_error("a1654572726f72614e"), CodecError::UnknownErrorCode);
    // a document that claims 4 GiB
    assert_eq!(
        response_error("a16b4174746573746174696f6ea168646f63756d656e745affffffff00"),
        CodecError::Malformed { at: 23 }
    );
    assert_eq!(
        Request::decode(&vec![0; MAX_REQUEST + 1]),
        Err(CodecError::MessageTooLong { found: MAX_REQUEST + 1, limit: MAX_REQUEST })
    );
    assert_eq!(
        Response::decode(&vec![0; MAX_RESPONSE + 1]),
        Err(CodecError::MessageTooLong { found: MAX_RESPONSE + 1, limit: MAX_RESPONSE })
    );
}

#[test]
fn a_list_of_locked_registers_is_ascending_and_short() {
    let module = |locked: Vec<u16>| {
        let description = ModuleDescription {
            version_major: 1,
            version_minor: 0,
            version_patch: 0,
            module_id: "i".to_owned(),
            max_pcrs: 32,
            locked_pcrs: locked,
            digest: PcrDigest::Sha384,
        };
        Response::decode(&Response::DescribeNsm(description).encode().unwrap())
    };
    assert!(module(vec![0, 5, 31]).is_ok());
    for wrong in [vec![1, 1], vec![2, 1], vec![32], (0..33).collect()] {
        assert_eq!(module(wrong), Err(CodecError::LockedRegisters));
    }
}

#[test]
fn long_fields_are_refused_on_the_way_out() {
    let with = |length| {
        let nonce = Some(vec![0; length]);
        Request::Attestation(AttestationRequest { nonce, ..AttestationRequest::default() }).encode()
    };
    assert!(with(MAX_OPTIONAL).is_ok());
    assert_eq!(
        with(MAX_OPTIONAL + 1),
        Err(CodecError::FieldLength { field: "nonce", found: MAX_OPTIONAL + 1 })
    );
    let extend = Request::ExtendPcr { index: 0, data: vec![0; MAX_REQUEST] };
    assert!(matches!(extend.encode(), Err(CodecError::MessageTooLong { limit: MAX_REQUEST, .. })));
}
