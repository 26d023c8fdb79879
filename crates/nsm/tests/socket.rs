//! Questions and answers over a socket, with modules that misbehave.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use entente_attestation::{Digest384, extend};
use entente_nsm::codec::{CodecError, MAX_RESPONSE, Request, Response};
use entente_nsm::{AttestationRequest, Lock, Nsm, NsmError, NsmErrorCode, PcrState};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// A module that gives these packets, one a question, and then goes away. It returns the questions.
fn module(answers: Vec<Vec<u8>>) -> (Nsm, JoinHandle<Vec<Request>>) {
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    let thread = std::thread::spawn(move || {
        let answer = |answer: Vec<u8>| {
            let mut request = vec![0; 0x2000];
            let (_, length) = recv(&theirs, &mut request, RecvFlags::empty()).unwrap();
            send(&theirs, &answer, SendFlags::NOSIGNAL).unwrap();
            Request::decode(request.get(..length).unwrap()).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (Nsm::over_socket(ours).unwrap(), thread)
}

fn one(answer: &Response) -> (Nsm, JoinHandle<Vec<Request>>) {
    module(vec![answer.encode().unwrap()])
}

#[test]
fn every_question_has_its_answer() {
    let value = extend(&Digest384::ZERO, b"agreement");
    let state = PcrState { lock: Lock::Locked, value };
    let answers = [
        Response::DescribePcr(PcrState { lock: Lock::Unlocked, value: Digest384::ZERO }),
        Response::ExtendPcr { data: value },
        Response::LockPcr,
        Response::LockPcrs,
        Response::DescribePcr(state),
        Response::Attestation { document: vec![1; 5000] },
    ];
    let (mut nsm, thread) = module(answers.iter().map(|answer| answer.encode().unwrap()).collect());
    assert_eq!(nsm.describe_pcr(16).unwrap().lock, Lock::Unlocked);
    assert_eq!(nsm.extend_pcr(16, b"agreement"), Ok(value));
    assert_eq!(nsm.lock_pcr(16), Ok(()));
    assert_eq!(nsm.lock_pcrs(18), Ok(()));
    assert_eq!(nsm.describe_pcr(16), Ok(state));
    let request = AttestationRequest { nonce: Some(vec![9; 32]), ..AttestationRequest::default() };
    assert_eq!(nsm.attestation(request.clone()).unwrap().len(), 5000);
    assert_eq!(
        thread.join().unwrap(),
        [
            Request::DescribePcr { index: 16 },
            Request::ExtendPcr { index: 16, data: b"agreement".to_vec() },
            Request::LockPcr { index: 16 },
            Request::LockPcrs { range: 18 },
            Request::DescribePcr { index: 16 },
            Request::Attestation(request),
        ]
    );
    assert_eq!(nsm.describe(), Err(NsmError::Closed));
}

#[test]
fn random_bytes_come_in_as_many_answers_as_it_takes() {
    let part = |byte, length| Response::GetRandom { random: vec![byte; length] }.encode().unwrap();
    let (mut nsm, thread) = module(vec![part(1, 256), part(2, 1), part(3, 256)]);
    let mut out = [0; 300];
    nsm.random(&mut out).unwrap();
    let (first, rest) = out.split_at(256);
    assert!(first.iter().all(|byte| *byte == 1) && rest.first() == Some(&2));
    assert!(rest.iter().skip(1).all(|byte| *byte == 3));
    assert_eq!(thread.join().unwrap().len(), 3);

    let (mut nsm, _thread) = module(vec![part(0, 0)]);
    assert_eq!(nsm.random(&mut out), Err(NsmError::NoRandom));
}

#[test]
fn wrong_answers_are_told_apart() {
    let (mut nsm, _thread) = one(&Response::LockPcrs);
    assert_eq!(nsm.lock_pcr(16), Err(NsmError::OtherQuestion));
    let (mut nsm, _thread) = one(&Response::Error(NsmErrorCode::ReadOnlyIndex));
    assert_eq!(nsm.extend_pcr(16, b"again"), Err(NsmError::Refused(NsmErrorCode::ReadOnlyIndex)));
    let (mut nsm, _thread) = module(vec![vec![0xff]]);
    assert_eq!(nsm.describe(), Err(NsmError::Response(CodecError::Malformed { at: 0 })));
    let (mut nsm, _thread) = module(vec![vec![0; MAX_RESPONSE + 7]]);
    let long = CodecError::MessageTooLong { found: MAX_RESPONSE + 7, limit: MAX_RESPONSE };
    assert_eq!(nsm.describe(), Err(NsmError::Response(long)));
}

#[test]
fn only_packet_sockets_keep_messages_apart() {
    let (stream, _other) = pair(SocketType::STREAM);
    assert_eq!(Nsm::over_socket(stream).err(), Some(NsmError::NotAPacketSocket));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(Nsm::over_socket(file.into()).err(), Some(NsmError::NotAPacketSocket));
}

#[test]
fn only_open_sockets_are_inherited() {
    use std::os::fd::AsRawFd;
    let (socket, _other) = pair(SocketType::SEQPACKET);
    assert!(entente_nsm::inherited_socket(socket.as_raw_fd()).is_some());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(entente_nsm::inherited_socket(file.as_raw_fd()).is_none());
    assert!(entente_nsm::inherited_socket(1_000_000).is_none());
    assert!(entente_nsm::inherited_socket(-1).is_none());
}
