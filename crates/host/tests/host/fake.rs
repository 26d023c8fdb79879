//! A platform whose enclaves are threads of the test, behind a real hybrid-vsock socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use entente_attestation::Measurements;
use entente_channel::{Answer, Ask, ContextEntry, EnclaveEnd as Talk};
use entente_host::platform::{
    Enclave, EnclaveEnd, Launch, Platform, PlatformError, ProcessIdentity, Remains, VsockAddress,
};
use entente_receipt::{Receipt, ResultFile, Statement};
use entente_testkit::{Attestation, ForgedHypervisor};

use crate::world::{ANALYSIS, World, name};

type Behaviour = dyn Fn(UnixStream, usize) + Send + Sync;

/// Starts threads with a behaviour. It gets the connection and the number of the start, from 0.
#[derive(Clone)]
pub(crate) struct Fake {
    behaviour: Arc<Behaviour>,
    starts: Arc<AtomicUsize>,
    cleaned: Arc<Mutex<Vec<PathBuf>>>,
}

impl Fake {
    pub(crate) fn new(behaviour: impl Fn(UnixStream, usize) + Send + Sync + 'static) -> Self {
        Self { behaviour: Arc::new(behaviour), starts: Arc::default(), cleaned: Arc::default() }
    }

    /// Enclaves that do what they should.
    pub(crate) fn honest(world: &Arc<World>) -> Self {
        let world = world.clone();
        Self::new(move |stream, _| {
            let _ = Script::new(&world).play(stream);
        })
    }

    /// An enclave that must not be started.
    pub(crate) fn none() -> Self {
        Self::new(|_, _| panic!("no enclave was to be started"))
    }

    pub(crate) fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    pub(crate) fn cleaned(&self) -> Vec<PathBuf> {
        self.cleaned.lock().unwrap().clone()
    }
}

struct FakeEnclave {
    path: PathBuf,
    has_ended: Arc<AtomicBool>,
    stream: Arc<Mutex<Option<UnixStream>>>,
}

impl Platform for Fake {
    fn name(&self) -> &'static str {
        "local"
    }

    fn start(&self, launch: &Launch) -> Result<Box<dyn Enclave>, PlatformError> {
        assert!(launch.image().is_file());
        assert_eq!(launch.memory_mib(), 64);
        let number = self.starts.fetch_add(1, Ordering::SeqCst);
        let path = launch.work().join("vsock");
        let listener = UnixListener::bind(&path).map_err(|error| PlatformError::new(error.to_string()))?;
        let has_ended = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Mutex::new(None));
        let (behaviour, ended, slot) = (self.behaviour.clone(), has_ended.clone(), shared.clone());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            let mut line = [0; 13];
            stream.read_exact(&mut line).unwrap();
            assert_eq!(&line, b"CONNECT 5005\n");
            stream.write_all(b"OK 1073741824\n").unwrap();
            *slot.lock().unwrap() = Some(stream.try_clone().unwrap());
            behaviour(stream, number);
            if let Some(stream) = slot.lock().unwrap().take() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            ended.store(true, Ordering::SeqCst);
        });
        Ok(Box::new(FakeEnclave { path, has_ended, stream: shared }))
    }

    fn clean_up(&self, remains: &Remains) {
        self.cleaned.lock().unwrap().push(remains.work().to_owned());
    }
}

impl Enclave for FakeEnclave {
    fn address(&self) -> VsockAddress {
        VsockAddress::Hybrid { path: self.path.clone() }
    }

    fn process(&self) -> Option<ProcessIdentity> {
        None
    }

    fn ended(&self) -> Option<EnclaveEnd> {
        self.has_ended.load(Ordering::SeqCst).then_some(EnclaveEnd::Code(0))
    }

    fn kill(&self) {
        if let Some(stream) = self.stream.lock().unwrap().take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// What an honest enclave asks, one after the other; tests change it.
pub(crate) struct Script {
    pub(crate) asks: Vec<Ask>,
}

impl Script {
    pub(crate) fn new(world: &World) -> Self {
        let mut asks = vec![Ask::Documents];
        for sealed in world.sealed.values() {
            asks.push(key_ask(world, sealed.manifest.dataset().as_str()));
        }
        for (dataset, sealed) in &world.sealed {
            asks.push(Ask::ChunkDigests { dataset: (*dataset).to_owned() });
            for index in 0..sealed.bytes.len().div_ceil(1 << 20) {
                asks.push(Ask::Chunk {
                    dataset: (*dataset).to_owned(),
                    index: u64::try_from(index).unwrap(),
                });
            }
        }
        let files = results(world);
        for (file, bytes) in &files {
            asks.push(Ask::Deliver { name: file.file_name(), size: u64::try_from(bytes.len()).unwrap() });
            asks.extend(bytes.chunks(1 << 20).map(|piece| Ask::DeliverPiece { bytes: piece.to_vec() }));
        }
        asks.push(Ask::DeliverReceipt { bytes: receipt(world, &files) });
        asks.push(Ask::Finished);
        Self { asks }
    }

    /// Where the first ask of a kind is.
    pub(crate) fn position(&self, kind: impl Fn(&Ask) -> bool) -> usize {
        self.asks.iter().position(kind).unwrap()
    }

    /// Asks everything; an error when the host hangs up.
    pub(crate) fn play(&self, stream: UnixStream) -> Result<Vec<Answer>, entente_channel::TalkError> {
        let mut talk = Talk::new(stream);
        self.asks.iter().map(|ask| talk.ask(ask)).collect()
    }
}

pub(crate) fn key_ask(world: &World, dataset: &str) -> Ask {
    let manifest = &world.sealed[dataset].manifest;
    let entry = |key: &str, value: String| ContextEntry { key: key.to_owned(), value };
    Ask::ReleaseKey {
        dataset: dataset.to_owned(),
        key_id: world.agreement.dataset(&name(dataset)).unwrap().key().as_str().to_owned(),
        ciphertext_blob: manifest.wrapped_key().to_vec(),
        encryption_context: vec![
            entry("entente-agreement", world.agreement.digest().to_string()),
            entry("entente-dataset", dataset.to_owned()),
            entry("entente-sealing", manifest.sealing().to_string()),
        ],
        attestation_document: b"a document".to_vec(),
    }
}

/// Result files of the right names and sizes.
pub(crate) fn results(world: &World) -> Vec<(ResultFile, Vec<u8>)> {
    let analysis = world.agreement.analysis(&name(ANALYSIS)).unwrap();
    analysis
        .outputs()
        .iter()
        .map(|output| {
            let archive = usize::try_from(output.bytes()).unwrap();
            let bytes = vec![b'r'; archive + 16 * archive.div_ceil(65536) + 200];
            let file = ResultFile {
                output: output.name().clone(),
                recipient: output.recipient().clone(),
                sealed: entente_attestation::Digest384::of(&bytes),
                opened: entente_attestation::Digest384::of(b"opened"),
            };
            (file, bytes)
        })
        .collect()
}

pub(crate) fn receipt(world: &World, files: &[(ResultFile, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<ResultFile> = files.iter().map(|(file, _)| file.clone()).collect();
    receipt_about(world, &files)
}

pub(crate) fn receipt_about(world: &World, files: &[ResultFile]) -> Vec<u8> {
    let measured = world.image.measurements();
    let image = Measurements::new(*measured.pcr0(), *measured.pcr1(), *measured.pcr2()).unwrap();
    let statement = Statement::new(&world.inputs, None, &image, files).unwrap();
    let attestation = Attestation::at(1_776_810_820_000).with_user_data(statement.user_data().as_bytes());
    let document = ForgedHypervisor::new().forgery(&attestation).sign();
    Receipt::assemble(&statement, &document).unwrap().bytes().to_vec()
}
