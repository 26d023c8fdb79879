//! `/app` of an image in tests: answers questions on its listening socket, one line each, about what it was given.
#![expect(clippy::unwrap_used, reason = "a test program: whatever fails is to end it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use entente_nsm::{AttestationRequest, Nsm, inherited_socket};

fn main() {
    let surroundings = surroundings();
    let mut nsm = Nsm::open().unwrap();
    let listener = UnixListener::from(inherited_socket(4).unwrap());
    loop {
        let (stream, _) = listener.accept().unwrap();
        serve(&mut nsm, &surroundings, stream);
    }
}

fn serve(nsm: &mut Nsm, surroundings: &str, stream: UnixStream) {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line == "echo\n" {
            let mut back = lines.get_ref().try_clone().unwrap();
            let _ = std::io::copy(&mut lines, &mut back);
            return;
        }
        let answer = match line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "")) {
            ("describe", _) => nsm.describe().unwrap().module_id,
            ("extend", text) => nsm.extend_pcr(16, text.as_bytes()).unwrap().to_string(),
            ("lock", _) => {
                nsm.lock_pcr(16).unwrap();
                "locked".to_owned()
            }
            ("attest", nonce) => {
                let nonce = Some(nonce.as_bytes().to_vec());
                let request = AttestationRequest { nonce, ..AttestationRequest::default() };
                hex::encode(nsm.attestation(request).unwrap())
            }
            ("where", _) => surroundings.to_owned(),
            ("exit", code) => std::process::exit(code.parse().unwrap()),
            ("abort", _) => std::process::abort(),
            _ => "what?".to_owned(),
        };
        if writeln!(lines.get_mut(), "{answer}").is_err() {
            return;
        }
    }
}

/// What a program can see of its start, in one line.
fn surroundings() -> String {
    let mut descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap())
        // Not the one that lists them.
        .filter(|entry| {
            !std::fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().contains("/fd")
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    descriptors.sort();
    let core = std::fs::read_to_string("/proc/self/limits").unwrap();
    let core = core.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
    format!(
        "arguments={:?} variables={} descriptors={} first={} core={}",
        std::env::args().collect::<Vec<_>>(),
        std::env::vars_os().count(),
        descriptors.join(","),
        std::process::id() == 1,
        core.split_whitespace().nth(4).unwrap(),
    )
}
