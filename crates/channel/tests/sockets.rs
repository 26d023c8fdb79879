//! Listening and dialling over Unix sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use entente_channel::{
    Answer, Ask, DialError, EnclaveEnd, HostEnd, ListenError, Listener, PORT, dial_hybrid,
    parse_hybrid_answer,
};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn one_connection_a_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("enclave.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let kept = socket.try_clone().unwrap();
    let listener = Listener::inherited(socket.into()).unwrap();
    let host = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut host = HostEnd::new(UnixStream::connect(path).unwrap());
            assert_eq!(host.question(), Ok(Ask::Finished));
            host.answer(&Answer::Taken).unwrap();
        }
    });
    let mut enclave = EnclaveEnd::new(listener.accept_one().unwrap());
    assert_eq!(enclave.ask(&Ask::Finished), Ok(Answer::Taken));
    host.join().unwrap();
    // Although another descriptor of the listener is still open.
    assert!(UnixStream::connect(path).is_err());
    drop(kept);
}

#[test]
fn only_listening_stream_sockets_are_taken() {
    let (one, _other) = UnixStream::pair().unwrap();
    assert_eq!(Listener::inherited(one.into()).err(), Some(ListenError::NotListening));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(Listener::inherited(file.into()).err(), Some(ListenError::NotListening));
}

/// A vsock device that answers `CONNECT` with these bytes, then closes or stays silent.
fn device(answer: &'static [u8], then: fn(UnixStream)) -> Result<UnixStream, DialError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.vsock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = [0; 13];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"CONNECT 5005\n");
        stream.write_all(answer).unwrap();
        then(stream);
    });
    let dialled = dial_hybrid(&path, PORT, SHORT);
    thread.join().unwrap();
    dialled
}

#[test]
fn dialling_follows_the_hybrid_vsock_convention() {
    let mut stream = device(b"OK 1073741824\nhello", |_| {}).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "hello", "what follows the line is not swallowed");

    assert_eq!(device(b"", |_| {}).err(), Some(DialError::Refused));
    assert_eq!(device(b"OK 5", |_| {}).err(), Some(DialError::Refused));
    assert_eq!(device(b"NO 5005\n", |_| {}).err(), Some(DialError::Convention));
    assert_eq!(device(b"OK 50050000000000000\n", |_| {}).err(), Some(DialError::Convention));
    let silent = device(b"OK ", |_| std::thread::sleep(2 * SHORT)).err();
    assert!(matches!(silent, Some(DialError::Io(_))), "{silent:?}");
    let nowhere = dial_hybrid(std::path::Path::new("/nonexistent/vm.vsock"), PORT, SHORT).err();
    assert_eq!(nowhere, Some(DialError::Connect(std::io::ErrorKind::NotFound)));
}

#[test]
fn the_devices_answer_is_read_strictly() {
    assert_eq!(parse_hybrid_answer(b"OK 5005"), Ok(5005));
    for wrong in
        [&b"OK"[..], b"OK ", b"ok 5005", b"OK 5005 ", b"OK +5005", b"OK 4294967296", b"OK 99999999999"]
    {
        assert_eq!(parse_hybrid_answer(wrong), Err(DialError::Convention), "{wrong:?}");
    }
}
