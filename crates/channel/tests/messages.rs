//! Frames and messages: what goes in comes out, and nothing else gets in.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Cursor, Read};

use entente_channel::frame::{self, FrameError};
use entente_channel::{
    Answer, Ask, ContextEntry, Documents, ErrorCode, MAX_ANSWER, MAX_ASK, MAX_PIECE, MessageError,
    PartySignature, SignedManifest, SignedRequest,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9-]{0,40}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn signatures() -> impl Strategy<Value = Vec<PartySignature>> {
    vec((text(), bytes()).prop_map(|(party, armored)| PartySignature { party, armored }), 0..4)
}

fn ask() -> impl Strategy<Value = Ask> {
    let context = vec((text(), text()).prop_map(|(key, value)| ContextEntry { key, value }), 0..4);
    prop_oneof![
        Just(Ask::Documents),
        (text(), text(), bytes(), context, bytes()).prop_map(
            |(dataset, key_id, ciphertext_blob, context, document)| {
                Ask::ReleaseKey {
                    dataset,
                    key_id,
                    ciphertext_blob,
                    encryption_context: context,
                    attestation_document: document,
                }
            }
        ),
        text().prop_map(|dataset| Ask::ChunkDigests { dataset }),
        (text(), any::<u64>()).prop_map(|(dataset, index)| Ask::Chunk { dataset, index }),
        (text(), any::<u64>()).prop_map(|(name, size)| Ask::Deliver { name, size }),
        bytes().prop_map(|bytes| Ask::DeliverPiece { bytes }),
        bytes().prop_map(|bytes| Ask::DeliverReceipt { bytes }),
        Just(Ask::Finished),
        prop::sample::select(ErrorCode::ALL.to_vec()).prop_map(|code| Ask::Halted { code }),
    ]
}

fn documents() -> impl Strategy<Value = Documents> {
    let manifest = (text(), bytes(), bytes()).prop_map(|(dataset, bytes, armored)| SignedManifest {
        dataset,
        bytes,
        armored,
    });
    let request = (bytes(), signatures()).prop_map(|(bytes, signatures)| SignedRequest { bytes, signatures });
    (bytes(), signatures(), text(), bytes(), signatures(), vec(manifest, 0..4), prop::option::of(request))
        .prop_map(|(agreement, approvals, analysis, inputs, input_signatures, manifests, request)| {
            Documents { agreement, approvals, analysis, inputs, input_signatures, manifests, request }
        })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        documents().prop_map(|documents| Answer::Documents(Box::new(documents))),
        bytes().prop_map(|ciphertext_for_recipient| Answer::Key { ciphertext_for_recipient }),
        bytes().prop_map(|digests| Answer::ChunkDigests { digests }),
        bytes().prop_map(|bytes| Answer::Chunk { bytes }),
        Just(Answer::Taken),
    ]
}

/// Changes a message somewhere: a byte, a cut, or something put in.
fn mutated(message: Vec<u8>) -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let length = message.len();
    (Just(message), 0..length, any::<u8>(), 0..4u8).prop_map(|(message, at, byte, kind)| {
        let mut other = message.clone();
        match kind {
            0 => other.truncate(at),
            1 => other.insert(at, byte),
            2 => other.extend_from_slice(&[byte; 3]),
            _ => *other.get_mut(at).unwrap() = byte,
        }
        (message, other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn questions_come_back(ask in ask()) {
        prop_assert_eq!(Ask::decode(&ask.encode().unwrap()), Ok(ask));
    }

    #[test]
    fn answers_come_back(answer in answer()) {
        prop_assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
    }

    #[test]
    fn no_two_byte_strings_are_the_same_question(
        (message, other) in ask().prop_flat_map(|ask| mutated(ask.encode().unwrap()))
    ) {
        if message != other && let Ok(read) = Ask::decode(&other) {
            prop_assert_eq!(read.encode().unwrap(), other);
        }
    }

    #[test]
    fn no_two_byte_strings_are_the_same_answer(
        (message, other) in answer().prop_flat_map(|answer| mutated(answer.encode().unwrap()))
    ) {
        if message != other && let Ok(read) = Answer::decode(&other) {
            prop_assert_eq!(read.encode().unwrap(), other);
        }
    }

    #[test]
    fn noise_is_never_a_panic(noise in vec(any::<u8>(), 0..200)) {
        let _ = Ask::decode(&noise);
        let _ = Answer::decode(&noise);
        let _ = frame::read(&mut Cursor::new(noise), 100);
    }

    #[test]
    fn frames_come_back(body in vec(any::<u8>(), 1..300), rest in bytes()) {
        let mut stream = frame::to_bytes(&body, 300).unwrap();
        let mut written = Vec::new();
        frame::write(&mut written, &body, 300).unwrap();
        prop_assert_eq!(&written, &stream);
        stream.extend_from_slice(&rest);
        let mut stream = Cursor::new(stream);
        prop_assert_eq!(frame::read(&mut stream, 300), Ok(body));
        let mut left = Vec::new();
        stream.read_to_end(&mut left).unwrap();
        prop_assert_eq!(left, rest);
    }

    #[test]
    fn a_cut_frame_says_what_is_missing(body in vec(any::<u8>(), 1..300), cut in any::<prop::sample::Index>()) {
        let stream = frame::to_bytes(&body, 300).unwrap();
        let at = cut.index(stream.len());
        let read = frame::read(&mut Cursor::new(stream.get(..at).unwrap()), 300);
        let wanted = if at < frame::HEADER { frame::HEADER } else { stream.len() };
        let expected = if at == 0 { FrameError::Closed } else { FrameError::CutShort { missing: wanted - at } };
        prop_assert_eq!(read, Err(expected));
    }
}

#[test]
fn a_length_is_compared_before_anything_is_read() {
    struct OnlyAHeader(u8);
    impl Read for OnlyAHeader {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            assert!(self.0 < 4, "the body was asked for");
            *room.first_mut().unwrap() = 0xff;
            self.0 += 1;
            Ok(1)
        }
    }
    let limit = MAX_ANSWER;
    assert_eq!(
        frame::read(&mut OnlyAHeader(0), limit),
        Err(FrameError::TooLong { found: 0xffff_ffff, limit })
    );
    assert_eq!(frame::read(&mut Cursor::new([0; 4]), limit), Err(FrameError::Empty));
    assert_eq!(frame::to_bytes(&[], limit), Err(FrameError::Empty));
    assert_eq!(frame::to_bytes(&[0; 5], 4), Err(FrameError::TooLong { found: 5, limit: 4 }));
    assert_eq!(frame::parse_header([0, 0, 0, 4], 4), Ok(4));
}

#[test]
fn a_long_body_is_not_reserved_before_it_comes() {
    // 16 MiB announced, one byte sent: the error comes, and no allocation of that size was needed for it.
    let mut stream = Vec::from(u32::try_from(MAX_ANSWER).unwrap().to_be_bytes());
    stream.push(0);
    assert_eq!(
        frame::read(&mut Cursor::new(stream), MAX_ANSWER),
        Err(FrameError::CutShort { missing: MAX_ANSWER - 1 })
    );
}

#[test]
fn pieces_and_lists_are_bounded() {
    let piece = |size| Ask::DeliverPiece { bytes: vec![0; size] }.encode();
    assert!(piece(MAX_PIECE).is_ok());
    assert_eq!(piece(MAX_PIECE + 1), Err(MessageError::PieceTooLong { found: MAX_PIECE + 1 }));
    let chunk = |size| Answer::Chunk { bytes: vec![0; size] }.encode();
    assert_eq!(chunk(MAX_PIECE + 1), Err(MessageError::PieceTooLong { found: MAX_PIECE + 1 }));
    let largest = chunk(MAX_PIECE).unwrap().len();
    assert!(largest <= Ask::Chunk { dataset: String::new(), index: 0 }.answer_limit());
    assert!(
        matches!(Ask::decode(&vec![0; MAX_ASK + 1]), Err(MessageError::TooLong { limit: MAX_ASK, .. })),
        "a question's bytes are bounded"
    );

    let documents = |approvals| {
        let documents = Documents {
            agreement: Vec::new(),
            approvals,
            analysis: String::new(),
            inputs: Vec::new(),
            input_signatures: Vec::new(),
            manifests: Vec::new(),
            request: None,
        };
        Answer::decode(&Answer::Documents(Box::new(documents)).encode().unwrap())
    };
    let signature = PartySignature { party: String::new(), armored: Vec::new() };
    assert!(documents(vec![signature.clone(); 1024]).is_ok());
    assert!(matches!(documents(vec![signature; 1025]), Err(MessageError::Malformed { .. })));
}

#[test]
fn one_message_has_one_encoding() {
    let taken = Answer::Taken.encode().unwrap();
    let mut longer = taken.clone();
    longer.push(0);
    assert_eq!(Answer::decode(&longer), Err(MessageError::OtherEncoding));
    // The variant's number in two bytes instead of one.
    let ask = Ask::Finished.encode().unwrap();
    assert_eq!(ask, [0x82, 0x07, 0x80]);
    assert_eq!(Ask::decode(&[0x82, 0x18, 0x07, 0x80]), Err(MessageError::OtherEncoding));
    assert!(matches!(Ask::decode(&[0x82, 0x09, 0x80]), Err(MessageError::Malformed { .. })));
    assert!(matches!(Ask::decode(&[]), Err(MessageError::Malformed { .. })));
}

#[test]
fn codes_have_names() {
    for code in ErrorCode::ALL {
        assert_eq!(code.to_string().parse(), Ok(code));
    }
    assert!("KeyRefused ".parse::<ErrorCode>().is_err());
}
