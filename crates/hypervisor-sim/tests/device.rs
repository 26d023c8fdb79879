//! The module's bytes, registers and documents.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::time::Duration;

use entente_attestation::{Digest384, PcrIndex, SignedDocument, TrustAnchor, UnixTime};
use entente_hypervisor_sim::{
    AuthorityError, CaIdentity, CertificateAuthority, Clock, Credentials, Identity as _, Module as _,
    NsmDevice, ParentInstance, Payload, RANDOM, Registers,
};
use entente_image::{Application, EnclaveImage, pcr3_of_role, pcr4_of_instance};
use entente_nsm::NsmErrorCode;
use entente_nsm::codec::{AttestationRequest, Lock, Request, Response};

const NOW: UnixTime = UnixTime::from_millis(1_900_000_000_123);
const ROLE: &str = "arn:aws:iam::123456789012:role/entente";

struct Bench {
    authority: CertificateAuthority,
    device: NsmDevice,
}

fn registers() -> Registers {
    let image = EnclaveImage::application(&Application::new("probe", "0", b"program")).unwrap();
    Registers::at_boot(image.measurements(), &ParentInstance::new("i-0123456789abcdef0").with_role(ROLE))
}

fn bench() -> Bench {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let identity = CaIdentity::new(&authority, "local-1");
    let device = NsmDevice::new(
        "i-0123456789abcdef0-enc0123456789abcdef",
        registers(),
        Box::new(identity),
        Clock::Fixed(NOW),
    );
    Bench { authority, device }
}

fn ask(device: &mut NsmDevice, request: &Request) -> Response {
    let bytes = device.answer(&request.encode().unwrap());
    assert!(bytes.len() <= 0x3000);
    Response::decode(&bytes).unwrap()
}

fn document(device: &mut NsmDevice, request: AttestationRequest) -> Vec<u8> {
    match ask(device, &Request::Attestation(request)) {
        Response::Attestation { document } => document,
        other => panic!("{other:?}"),
    }
}

fn vectors() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors"));
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", dir.display());
    println!("skipped: {} is missing", dir.display());
    None
}

#[test]
fn answers_have_the_bytes_of_nsm_api() {
    let Some(dir) = vectors() else { return };
    let table = std::fs::read_to_string(dir.join("nsm/nsm-wire.tsv")).unwrap();
    let vector = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        hex::decode(line.split('\t').nth(1).unwrap()).unwrap()
    };
    let identity = CaIdentity::new(&CertificateAuthority::generate(NOW).unwrap(), "local-1");
    let mut device = NsmDevice::new(
        "i-1234567890abcdef0-enc9876543210abcde",
        Registers::debug_mode(),
        Box::new(identity),
        Clock::Fixed(NOW),
    );
    for (request, response) in [
        ("req DescribeNSM", "resp DescribeNSM("),
        ("req DescribePCR(0)", "resp DescribePCR("),
        ("req LockPCR(16)", "resp LockPCR\t"),
        ("req LockPCR(16)", "resp Error ReadOnlyIndex"),
        ("req ExtendPCR(16", "resp Error ReadOnlyIndex"),
        ("req LockPCRs(32)", "resp LockPCRs"),
    ] {
        assert_eq!(hex::encode(device.answer(&vector(request))), hex::encode(vector(response)), "{request}");
    }
    let random = device.answer(&vector("req GetRandom"));
    assert!(random.starts_with(b"\xa1\x69GetRandom\xa1\x66random\x59\x01\x00"));
    assert_eq!(random.len(), 22 + RANDOM);
    assert_ne!(random, device.answer(&vector("req GetRandom")));
    for request in ["req Attestation(null", "req Attestation(ud=aa"] {
        assert!(device.answer(&vector(request)).starts_with(b"\xa1\x6bAttestation\xa1\x68document\x59"));
    }
}

#[test]
fn registers_at_boot() {
    let Bench { mut device, .. } = bench();
    let image = EnclaveImage::application(&Application::new("probe", "0", b"program")).unwrap();
    let measured = image.measurements();
    let expected = |index: u16| match index {
        0 => *measured.pcr0(),
        1 => *measured.pcr1(),
        2 => *measured.pcr2(),
        3 => pcr3_of_role(ROLE),
        4 => pcr4_of_instance("i-0123456789abcdef0"),
        _ => Digest384::ZERO,
    };
    for index in 0..32 {
        let Response::DescribePcr(state) = ask(&mut device, &Request::DescribePcr { index }) else {
            panic!("register {index}")
        };
        assert_eq!(state.value, expected(index), "register {index}");
        assert_eq!(state.lock, if index < 16 { Lock::Locked } else { Lock::Unlocked });
    }
}

#[test]
fn registers_extend_and_lock() {
    let Bench { mut device, .. } = bench();
    let refused = |device: &mut NsmDevice, request: Request, code| {
        assert_eq!(ask(device, &request), Response::Error(code), "{request:?}");
    };
    for index in 0..16 {
        refused(&mut device, Request::LockPcr { index }, NsmErrorCode::ReadOnlyIndex);
        refused(&mut device, Request::ExtendPcr { index, data: vec![1] }, NsmErrorCode::ReadOnlyIndex);
    }
    for index in [32, 300, u16::MAX] {
        refused(&mut device, Request::DescribePcr { index }, NsmErrorCode::InvalidIndex);
        refused(&mut device, Request::LockPcr { index }, NsmErrorCode::InvalidIndex);
        refused(&mut device, Request::ExtendPcr { index, data: vec![] }, NsmErrorCode::InvalidIndex);
    }
    refused(&mut device, Request::LockPcrs { range: 33 }, NsmErrorCode::InvalidIndex);

    let once = entente_attestation::extend(&Digest384::ZERO, b"one");
    let twice = entente_attestation::extend(&once, b"two");
    let extend = |data: &[u8]| Request::ExtendPcr { index: 16, data: data.to_vec() };
    assert_eq!(ask(&mut device, &extend(b"one")), Response::ExtendPcr { data: once });
    assert_eq!(ask(&mut device, &extend(b"two")), Response::ExtendPcr { data: twice });
    assert_eq!(ask(&mut device, &Request::LockPcr { index: 16 }), Response::LockPcr);
    refused(&mut device, extend(b"three"), NsmErrorCode::ReadOnlyIndex);
    assert_eq!(ask(&mut device, &Request::LockPcrs { range: 18 }), Response::LockPcrs);
    let Response::DescribeNsm(module) = ask(&mut device, &Request::DescribeNsm) else { panic!() };
    assert_eq!(module.locked_pcrs, (0..18).collect::<Vec<u16>>());
    assert_eq!(ask(&mut device, &Request::LockPcrs { range: 32 }), Response::LockPcrs);
}

#[test]
fn what_is_not_a_request_is_an_error() {
    let Bench { mut device, .. } = bench();
    let mut code = |bytes: &[u8]| match Response::decode(&device.answer(bytes)).unwrap() {
        Response::Error(code) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(b""), NsmErrorCode::InvalidArgument);
    assert_eq!(code(b"\xff"), NsmErrorCode::InvalidArgument);
    assert_eq!(code(b"\x63Foo"), NsmErrorCode::InvalidOperation);
    assert_eq!(code(&[0; 0x1001]), NsmErrorCode::InputTooLarge);
    // {"Attestation": {"user_data": 1025 bytes, …}}
    let mut long = b"\xa1\x6bAttestation\xa3\x69user_data\x59\x04\x01".to_vec();
    long.resize(long.len() + 1025, 7);
    long.extend_from_slice(b"\x65nonce\xf6\x6apublic_key\xf6");
    assert_eq!(code(&long), NsmErrorCode::InputTooLarge);
}

#[test]
fn documents_verify_under_their_root_alone() {
    let Bench { authority, mut device } = bench();
    let request = AttestationRequest {
        user_data: Some(vec![1; 1024]),
        nonce: Some(vec![]),
        public_key: Some(vec![3; 1024]),
    };
    let bytes = document(&mut device, request.clone());
    let root = TrustAnchor::simulated(authority.root_der()).unwrap();
    let authentic = SignedDocument::parse(&bytes).unwrap().authenticate(&root, NOW).unwrap();
    assert_eq!(authentic.module_id(), "i-0123456789abcdef0-enc0123456789abcdef");
    assert_eq!(authentic.timestamp(), NOW);
    assert_eq!(authentic.user_data(), request.user_data.as_deref());
    assert_eq!(authentic.nonce(), Some(&[][..]));
    assert_eq!(authentic.public_key(), request.public_key.as_deref());
    let image = EnclaveImage::application(&Application::new("probe", "0", b"program")).unwrap();
    let measured = authentic.measurements().unwrap();
    assert_eq!(measured.pcr0(), image.measurements().pcr0());

    assert!(SignedDocument::parse(&bytes).unwrap().authenticate(&TrustAnchor::aws_nitro(), NOW).is_err());
    let other = CertificateAuthority::generate(NOW).unwrap();
    let other = TrustAnchor::simulated(other.root_der()).unwrap();
    assert!(SignedDocument::parse(&bytes).unwrap().authenticate(&other, NOW).is_err());
    let tomorrow = NOW.saturating_add(Duration::from_secs(4 * 3600));
    assert!(SignedDocument::parse(&bytes).unwrap().authenticate(&root, tomorrow).is_err());
}

#[test]
fn documents_have_the_form_of_hardware() {
    let Bench { mut device, .. } = bench();
    ask(&mut device, &Request::ExtendPcr { index: 17, data: vec![1] });
    ask(&mut device, &Request::LockPcr { index: 17 });
    let bytes = document(&mut device, AttestationRequest::default());
    // COSE_Sign1 without tag, protected {1: -35}, nothing unprotected, payload of two length bytes, signature of 96.
    assert!(bytes.starts_with(b"\x84\x44\xa1\x01\x38\x22\xa0\x59"));
    assert_eq!(bytes[bytes.len() - 98..][..2], [0x58, 96]);
    let payload = &bytes[10..bytes.len() - 98];
    assert!(payload.starts_with(b"\xbf\x69module_id\x78\x27i-0123456789abcdef0-enc0123456789abcdef\x66digest\x66SHA384\x69timestamp\x1b"));
    assert!(payload.ends_with(b"\x6apublic_key\xf6\x69user_data\xf6\x65nonce\xf6\xff"));

    let mut d = minicbor::Decoder::new(payload);
    assert_eq!(d.map().unwrap(), None);
    let mut keys = Vec::new();
    let mut pcrs = Vec::new();
    let mut lengths = Vec::new();
    while d.datatype().unwrap() != minicbor::data::Type::Break {
        let key = d.str().unwrap();
        keys.push(key);
        match key {
            "pcrs" => {
                for _ in 0..d.map().unwrap().unwrap() {
                    pcrs.push(d.u8().unwrap());
                    assert_eq!(d.bytes().unwrap().len(), 48);
                }
            }
            "cabundle" => {
                for _ in 0..d.array().unwrap().unwrap() {
                    lengths.push(d.bytes().unwrap().len());
                }
            }
            "certificate" => lengths.push(d.bytes().unwrap().len()),
            _ => d.skip().unwrap(),
        }
    }
    assert_eq!(
        keys,
        [
            "module_id",
            "digest",
            "timestamp",
            "pcrs",
            "certificate",
            "cabundle",
            "public_key",
            "user_data",
            "nonce"
        ]
    );
    assert_eq!(pcrs, (0..16).chain([17]).collect::<Vec<u8>>());
    assert_eq!(lengths.len(), 5);
    assert!(lengths.iter().all(|length| (400..=1024).contains(length)), "{lengths:?}");
}

#[test]
fn debug_mode_and_forged_registers() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let root = TrustAnchor::simulated(authority.root_der()).unwrap();
    let mut device = NsmDevice::new(
        "i-0-enc0",
        Registers::debug_mode().with(PcrIndex::AGREEMENT, Digest384::of(b"forged")),
        Box::new(CaIdentity::new(&authority, "local-1")),
        Clock::Fixed(NOW),
    );
    let bytes = document(&mut device, AttestationRequest::default());
    let authentic = SignedDocument::parse(&bytes).unwrap().authenticate(&root, NOW).unwrap();
    assert!(authentic.measurements().is_err());
}

#[test]
fn a_chain_is_replaced_before_it_expires() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let mut identity = CaIdentity::new(&authority, "local-1");
    let mut leaf = |minutes: u64| {
        let at = NOW.saturating_add(Duration::from_secs(60 * minutes));
        identity.credentials("i-0-enc0", at).unwrap().certificate().to_vec()
    };
    let first = leaf(0);
    assert_eq!(leaf(169), first);
    let second = leaf(171);
    assert_ne!(second, first);
    assert_eq!(leaf(172), second);
}

#[test]
fn an_authority_is_kept_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("ca");
    let made = CertificateAuthority::create(&dir, NOW).unwrap();
    let mode = |name: &str| dir.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("root.key"), 0o600);
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read(dir.join("root.der")).unwrap(), made.root_der());
    assert!(
        std::fs::read_to_string(dir.join("root.pem")).unwrap().starts_with("-----BEGIN CERTIFICATE-----\n")
    );

    assert!(matches!(CertificateAuthority::create(&dir, NOW), Err(AuthorityError::Exists { .. })));
    let opened = CertificateAuthority::open(&dir).unwrap();
    assert_eq!(opened.fingerprint(), made.fingerprint());
    let credentials = opened.issue("i-0-enc0", "local-1", NOW).unwrap();
    assert_eq!(credentials.cabundle().len(), 4);

    let other = CertificateAuthority::generate(NOW).unwrap();
    std::fs::write(dir.join("root.der"), other.root_der()).unwrap();
    assert!(matches!(CertificateAuthority::open(&dir), Err(AuthorityError::Content { .. })));
}

/// A real document's payload, taken apart and written by us, is the same bytes.
#[test]
fn a_payload_of_hardware_is_written_byte_for_byte() {
    let Some(dir) = vectors() else { return };
    for name in
        ["real-2026-04-21-prod-f1f05745", "real-2025-09-16-prod-ce1e1c6e", "real-2025-08-18-debug-2668d61d"]
    {
        let file = std::fs::read(dir.join(format!("attestation/{name}.cose"))).unwrap();
        let mut cose = minicbor::Decoder::new(&file);
        cose.array().unwrap();
        cose.skip().unwrap();
        cose.skip().unwrap();
        let payload = cose.bytes().unwrap();

        let mut d = minicbor::Decoder::new(payload);
        let (mut module_id, mut timestamp, mut certificate, mut cabundle) = ("", 0, vec![], vec![]);
        let mut registers = Registers::debug_mode();
        let mut request = AttestationRequest::default();
        d.map().unwrap();
        while d.datatype().unwrap() != minicbor::data::Type::Break {
            match d.str().unwrap() {
                "module_id" => module_id = d.str().unwrap(),
                "timestamp" => timestamp = d.u64().unwrap(),
                "certificate" => certificate = d.bytes().unwrap().to_vec(),
                "cabundle" => {
                    for _ in 0..d.array().unwrap().unwrap() {
                        cabundle.push(d.bytes().unwrap().to_vec());
                    }
                }
                "pcrs" => {
                    for _ in 0..d.map().unwrap().unwrap() {
                        let index = PcrIndex::new(d.u8().unwrap()).unwrap();
                        let value = d.bytes().unwrap().try_into().unwrap();
                        registers = registers.with(index, Digest384::from_bytes(value));
                    }
                }
                "public_key" => request.public_key = optional(&mut d),
                "user_data" => request.user_data = optional(&mut d),
                "nonce" => request.nonce = optional(&mut d),
                _ => d.skip().unwrap(),
            }
        }
        // Any key: nothing is signed here.
        let key = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            &aws_lc_rs::rand::SystemRandom::new(),
        )
        .unwrap();
        let credentials = Credentials::new(certificate, cabundle, key.as_ref(), NOW).unwrap();
        let time = UnixTime::from_millis(timestamp);
        let ours = Payload::new(module_id, time, &registers, &credentials, &request).to_bytes();
        assert_eq!(hex::encode(ours), hex::encode(payload), "{name}");
    }
}

fn optional(d: &mut minicbor::Decoder<'_>) -> Option<Vec<u8>> {
    if d.datatype().unwrap() == minicbor::data::Type::Null {
        d.skip().unwrap();
        None
    } else {
        Some(d.bytes().unwrap().to_vec())
    }
}

#[test]
fn ten_thousand_mutated_requests_get_an_answer_each() {
    let Bench { mut device, .. } = bench();
    let requests = [
        Request::DescribeNsm,
        Request::GetRandom,
        Request::DescribePcr { index: 31 },
        Request::ExtendPcr { index: 16, data: vec![1, 2, 3] },
        Request::LockPcr { index: 20 },
        Request::LockPcrs { range: 21 },
        Request::Attestation(AttestationRequest {
            user_data: Some(vec![1; 40]),
            ..AttestationRequest::default()
        }),
    ];
    let requests: Vec<Vec<u8>> = requests.iter().map(|request| request.encode().unwrap()).collect();
    let mut state = 0x656e_7465_6e74_6533_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound).unwrap()).unwrap()
    };
    for round in 0..10_000 {
        let mut request = requests[round % requests.len()].clone();
        for _ in 0..=below(2) {
            let at = below(request.len().max(1));
            match below(4) {
                0 => request.truncate(at),
                1 => request.insert(at.min(request.len()), u8::try_from(below(256)).unwrap()),
                _ if at < request.len() => request[at] = u8::try_from(below(256)).unwrap(),
                _ => {}
            }
        }
        assert!(Response::decode(&device.answer(&request)).is_ok(), "{}", hex::encode(request));
    }
}
