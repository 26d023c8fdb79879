//! The conversation with one enclave: it asks, the host answers from the store and from the key services.
//!
//! The enclave is not trusted either: it may ask only for what its run has, each thing once and in order, within the
//! times and sizes of the configuration; whatever else it says ends the run. Nothing of what it says is logged but names,
//! digests, sizes and the six codes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use entente_attestation::Digest384;
use entente_channel::frame::FrameError;
use entente_channel::{Answer, Ask, ContextEntry, ErrorCode, HostEnd, PORT, TalkError};

use crate::config::Timeouts;
use crate::host::Inner;
use crate::job::{Job, JobInput};
use crate::keys::{KeyRefusal, KeyRequest};
use crate::live::Live;
use crate::messages::{FailureReason, HaltCode, KeyAnswer, ResultFacts, RunHappening, RunId, RunState};
use crate::platform::{Enclave, VsockAddress};
use crate::store::files::Pending;
use crate::store::{PendingResults, StoreError};

/// Wait between two attempts to reach an enclave that boots.
const DIAL_PAUSE: Duration = Duration::from_millis(10);

/// How a conversation ended.
pub(crate) enum Conversation {
    /// Everything was delivered. The enclave waits to be told that it was taken.
    Finished { results: PendingResults, last: Last },
    /// The enclave gave up.
    Halted(HaltCode),
    /// The host gives up.
    Failed(Failure),
}

/// Why the host gives up.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn state(self) -> RunState {
        RunState::Failed { reason: self.reason, message: self.message }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the data directory failed");
        match error {
            StoreError::Limit { what, limit } => {
                Self::new(FailureReason::Storage, format!("A limit is reached: {what}, at most {limit}."))
            }
            _ => Self::new(FailureReason::Storage, "The host's data directory failed; its log says how."),
        }
    }
}

/// The last answer, to be given when the results are kept.
pub(crate) struct Last(Line);

impl Last {
    /// Tells the enclave that all is taken. It may be gone by now; nothing depends on it.
    pub(crate) fn taken(mut self) {
        let _ = self.0.end.answer(&Answer::Taken);
    }
}

/// Talks with an enclave until it is done, gives up, or is given up. `running` is called once, at its first question.
pub(crate) fn converse(
    inner: &Inner,
    id: &RunId,
    job: &Job,
    live: &Live,
    enclave: &dyn Enclave,
    run_deadline: Instant,
    running: impl FnOnce() -> Result<(), StoreError>,
) -> Conversation {
    let boot_deadline = (Instant::now() + inner.config().timeouts().boot).min(run_deadline);
    let line = match dial(enclave, boot_deadline) {
        Ok(line) => line,
        Err(failure) => return Conversation::Failed(failure),
    };
    let results = match inner.store().start_results() {
        Ok(results) => results,
        Err(error) => return Conversation::Failed(error.into()),
    };
    let relay = Relay {
        inner,
        id,
        job,
        live,
        timeouts: inner.config().timeouts(),
        run_deadline,
        stage: Stage::Boot,
        reads: job.inputs.keys().map(|name| (name.clone(), Reads::default())).collect(),
        results,
        file: None,
    };
    match relay.talk(line, boot_deadline, running) {
        Ok(conversation) => conversation,
        Err(failure) => Conversation::Failed(failure),
    }
}

fn dial(enclave: &dyn Enclave, deadline: Instant) -> Result<Line, Failure> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new(FailureReason::Boot, "The enclave was not reached in time."));
        }
        let stream = match enclave.address() {
            VsockAddress::Hybrid { path } => {
                // The time is for each of at most 13 bytes of the device's answer.
                entente_channel::dial_hybrid(&path, PORT, left.min(Duration::from_secs(5))).map(Stream::Unix)
            }
            VsockAddress::Cid { cid } => entente_channel::dial_vsock(cid, PORT).map(Stream::Vsock),
        };
        match stream {
            Ok(stream) => return Ok(Line::new(stream)),
            Err(error) => {
                if let Some(end) = enclave.ended() {
                    return Err(Failure::new(
                        FailureReason::Ended,
                        format!("The enclave ended while it started: {end}."),
                    ));
                }
                tracing::trace!(%error, "not reached yet");
            }
        }
        std::thread::sleep(DIAL_PAUSE);
    }
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `Documents`.
    Boot,
    /// Keys and sealed files, then results.
    Load,
    /// Results, then the receipt.
    Deliver,
    /// `Finished`.
    Receipt,
}

/// What was read of a dataset.
#[derive(Default)]
struct Reads {
    is_key_asked: bool,
    is_list_read: bool,
    next_chunk: u64,
}

/// A result file that is being delivered.
struct OpenFile {
    name: String,
    size: u64,
    file: Pending,
    digest: digest::Context,
}

struct Relay<'a> {
    inner: &'a Inner,
    id: &'a RunId,
    job: &'a Job,
    live: &'a Live,
    timeouts: &'a Timeouts,
    run_deadline: Instant,
    stage: Stage,
    reads: BTreeMap<String, Reads>,
    results: PendingResults,
    file: Option<OpenFile>,
}

fn protocol(message: impl Into<String>) -> Failure {
    Failure::new(FailureReason::Protocol, message)
}

fn wrong_results(message: impl Into<String>) -> Failure {
    Failure::new(FailureReason::Results, message)
}

impl Relay<'_> {
    fn talk(
        mut self,
        mut line: Line,
        boot_deadline: Instant,
        running: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<Conversation, Failure> {
        line.deadline.set(boot_deadline);
        let mut running = Some(running);
        loop {
            let ask = line.end.question().map_err(|error| self.silence_or_worse(error))?;
            if let Some(running) = running.take() {
                running()?;
            }
            let answer = match ask {
                Ask::Halted { code } => return Ok(Conversation::Halted(halt_code(code))),
                Ask::Finished => {
                    self.finish()?;
                    line.deadline.set(self.next_deadline(Instant::now() + self.timeouts.end));
                    return Ok(Conversation::Finished { results: self.results, last: Last(line) });
                }
                ask => self.answer(ask)?,
            };
            line.deadline.set(self.next_deadline(Instant::now() + self.timeouts.ask));
            line.end.answer(&answer).map_err(|error| self.silence_or_worse(error))?;
            // While it computes the enclave is silent for as long as it likes, up to the run's end.
            let patience =
                if self.is_computing() { self.run_deadline } else { Instant::now() + self.timeouts.ask };
            line.deadline.set(self.next_deadline(patience));
        }
    }

    fn next_deadline(&self, wanted: Instant) -> Instant {
        wanted.min(self.run_deadline)
    }

    fn is_computing(&self) -> bool {
        self.stage == Stage::Load
            && self.job.inputs.iter().all(|(name, input)| {
                self.reads.get(name).is_some_and(|reads| reads.next_chunk == input.chunk_count)
            })
    }

    /// What an error of the channel means.
    fn silence_or_worse(&self, error: TalkError) -> Failure {
        match error {
            TalkError::Frame(FrameError::Io(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)) => {
                if Instant::now() >= self.run_deadline {
                    let seconds = self.timeouts.run.as_secs();
                    Failure::new(FailureReason::Deadline, format!("The run took longer than {seconds} s."))
                } else if self.stage == Stage::Boot {
                    Failure::new(FailureReason::Boot, "The enclave asked nothing in time after its start.")
                } else {
                    let seconds = self.timeouts.ask.as_secs();
                    Failure::new(FailureReason::Silence, format!("The enclave was silent for {seconds} s."))
                }
            }
            TalkError::Frame(FrameError::Closed | FrameError::CutShort { .. } | FrameError::Io(_)) => {
                Failure::new(FailureReason::Ended, "The enclave ended without result or code.")
            }
            // Lengths and positions only: the errors hold no bytes of the enclave.
            error => protocol(format!("The enclave broke the protocol: {error}.")),
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<Answer, Failure> {
        match ask {
            Ask::Documents => self.documents(),
            Ask::ReleaseKey {
                dataset,
                key_id,
                ciphertext_blob,
                encryption_context,
                attestation_document,
            } => {
                let input = self.input(&dataset)?;
                let as_agreed = key_id == input.key.as_str()
                    && ciphertext_blob == input.wrapped_key
                    && same_context(&encryption_context, &input.encryption_context);
                if !as_agreed {
                    return Err(protocol("The enclave asked for another key than the dataset's."));
                }
                let request = KeyRequest {
                    key: input.key.clone(),
                    ciphertext_blob,
                    encryption_context: input.encryption_context.clone(),
                    attestation_document,
                };
                self.key(&dataset, request)
            }
            Ask::ChunkDigests { dataset } => self.chunk_digests(&dataset),
            Ask::Chunk { dataset, index } => self.chunk(&dataset, index),
            Ask::Deliver { name, size } => self.begin_file(&name, size),
            Ask::DeliverPiece { bytes } => self.piece(&bytes),
            Ask::DeliverReceipt { bytes } => self.receipt(&bytes),
            // Both end the conversation before this.
            Ask::Finished | Ask::Halted { .. } => Err(protocol("The enclave went on after its end.")),
        }
    }

    fn documents(&mut self) -> Result<Answer, Failure> {
        if self.stage != Stage::Boot {
            return Err(protocol("The enclave asked for the documents twice."));
        }
        self.stage = Stage::Load;
        Ok(Answer::Documents(Box::new(self.job.documents.clone())))
    }

    /// A present dataset, at a time when it may be asked for.
    fn input(&self, dataset: &str) -> Result<&JobInput, Failure> {
        if self.stage != Stage::Load {
            return Err(protocol(
                "The enclave asked for an input before the documents or after its first result.",
            ));
        }
        // The name is the enclave's word: it is neither logged nor shown unless it is the run's.
        self.job
            .inputs
            .get(dataset)
            .ok_or_else(|| protocol("The enclave asked for a dataset that the run does not have."))
    }

    fn reads(&mut self, dataset: &str) -> Result<&mut Reads, Failure> {
        self.reads
            .get_mut(dataset)
            .ok_or_else(|| protocol("The enclave asked for a dataset that the run does not have."))
    }

    fn key(&mut self, dataset: &str, request: KeyRequest) -> Result<Answer, Failure> {
        if std::mem::replace(&mut self.reads(dataset)?.is_key_asked, true) {
            return Err(protocol(format!("The enclave asked for the key of {dataset} twice.")));
        }
        let key = request.key.clone();
        let released = match self.inner.runtime() {
            Some(runtime) => runtime.block_on(async {
                tokio::select! {
                    released = self.inner.keys().release(request) => released,
                    () = self.live.is_to_end() => Err(KeyRefusal::RunEnds),
                }
            }),
            None => return Err(Failure::new(FailureReason::Platform, "The host does not serve.")),
        };
        let (answer, ciphertext_for_recipient) = match released {
            Ok(bytes) => (KeyAnswer::Released, bytes),
            Err(refusal) => {
                tracing::warn!(run = %self.id, dataset, key = key.as_str(), %refusal, "no key");
                (KeyAnswer::Refused, Vec::new())
            }
        };
        self.live.update(|progress| {
            progress.keys.insert(dataset.to_owned(), answer);
        });
        self.happened(RunHappening::Key { dataset: dataset.to_owned(), answer })?;
        Ok(Answer::Key { ciphertext_for_recipient })
    }

    fn chunk_digests(&mut self, dataset: &str) -> Result<Answer, Failure> {
        let manifest = self.input(dataset)?.manifest;
        if std::mem::replace(&mut self.reads(dataset)?.is_list_read, true) {
            return Err(protocol(format!("The enclave asked for the chunk list of {dataset} twice.")));
        }
        let digests = self.inner.store().chunk_list(&manifest)?.ok_or_else(gone)?;
        Ok(Answer::ChunkDigests { digests })
    }

    fn chunk(&mut self, dataset: &str, index: u64) -> Result<Answer, Failure> {
        let input = self.input(dataset)?;
        let (manifest, chunk_count, file_bytes) = (input.manifest, input.chunk_count, input.bytes);
        let reads = self.reads(dataset)?;
        // PROTOCOL §10.7: every piece exactly once, in order.
        if index != reads.next_chunk || index >= chunk_count {
            return Err(protocol(format!("The enclave asked for chunk {index} of {dataset} out of order.")));
        }
        reads.next_chunk += 1;
        let number =
            u32::try_from(index).map_err(|_| protocol("The enclave asked for a chunk that is not there."))?;
        let bytes = self.inner.store().chunk(&manifest, number)?.ok_or_else(gone)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.live.update(|progress| progress.fetched_bytes = progress.fetched_bytes.saturating_add(length));
        if index + 1 == chunk_count {
            self.happened(RunHappening::Fetched { dataset: dataset.to_owned(), bytes: file_bytes })?;
        }
        Ok(Answer::Chunk { bytes })
    }

    fn begin_file(&mut self, name: &str, size: u64) -> Result<Answer, Failure> {
        match self.stage {
            Stage::Load | Stage::Deliver => self.stage = Stage::Deliver,
            Stage::Boot | Stage::Receipt => {
                return Err(protocol("The enclave delivered a result out of order."));
            }
        }
        if self.file.is_some() {
            return Err(wrong_results("The enclave began a result before the last one was whole."));
        }
        let Some(output) = self.job.outputs.iter().find(|output| output.name == name) else {
            return Err(wrong_results("The enclave delivered a file that is no output of the analysis."));
        };
        if self.results.files().iter().any(|file| file.name == name) {
            return Err(wrong_results(format!("The enclave delivered {name} twice.")));
        }
        if size <= output.archive_bytes || size > output.most_bytes() {
            return Err(wrong_results(format!(
                "The enclave announced {size} bytes for {name}; more than {} and at most {} can be right.",
                output.archive_bytes,
                output.most_bytes()
            )));
        }
        self.file = Some(OpenFile {
            name: output.name.clone(),
            size,
            file: self.results.file()?,
            digest: digest::Context::new(&digest::SHA384),
        });
        Ok(Answer::Taken)
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<Answer, Failure> {
        let Some(mut open) = self.file.take() else {
            return Err(wrong_results("The enclave delivered a piece of no result."));
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let sum = open.file.bytes().saturating_add(length);
        // A piece of nothing could be repeated for ever.
        if length == 0 || sum > open.size {
            return Err(wrong_results(format!(
                "The enclave delivered more or less of {} than announced.",
                open.name
            )));
        }
        open.digest.update(bytes);
        open.file.write_all(bytes).map_err(StoreError::from)?;
        self.live
            .update(|progress| progress.delivered_bytes = progress.delivered_bytes.saturating_add(length));
        if sum < open.size {
            self.file = Some(open);
            return Ok(Answer::Taken);
        }
        let digest = Digest384::try_from(open.digest.finish().as_ref())
            .map_err(|_| Failure::new(FailureReason::Storage, "SHA-384 has another length."))?;
        let facts = ResultFacts { name: open.name, bytes: open.size, digest };
        let happening = RunHappening::Delivered { name: facts.name.clone(), bytes: facts.bytes };
        self.results.keep_file(facts, open.file)?;
        self.happened(happening)?;
        Ok(Answer::Taken)
    }

    fn receipt(&mut self, bytes: &[u8]) -> Result<Answer, Failure> {
        if self.stage != Stage::Deliver {
            return Err(protocol("The enclave delivered a receipt out of order."));
        }
        self.refuse_unfinished()?;
        crate::subjects::compare(bytes, self.job, self.results.files()).map_err(wrong_results)?;
        self.results.keep_receipt(bytes)?;
        self.stage = Stage::Receipt;
        Ok(Answer::Taken)
    }

    fn refuse_unfinished(&self) -> Result<(), Failure> {
        if let Some(open) = &self.file {
            return Err(wrong_results(format!("The enclave delivered only a part of {}.", open.name)));
        }
        match self
            .job
            .outputs
            .iter()
            .find(|output| !self.results.files().iter().any(|file| file.name == output.name))
        {
            Some(missing) => Err(wrong_results(format!("The enclave did not deliver {}.", missing.name))),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.stage != Stage::Receipt || !self.results.has_receipt() {
            return Err(protocol("The enclave said it had finished before its receipt."));
        }
        self.refuse_unfinished()?;
        let order: Vec<&str> = self.job.outputs.iter().map(|output| output.name.as_str()).collect();
        self.results.sort(&order);
        Ok(())
    }

    fn happened(&self, what: RunHappening) -> Result<(), Failure> {
        self.inner.store().add_event(self.id, what)?;
        self.inner.touch();
        Ok(())
    }
}

fn gone() -> Failure {
    Failure::new(FailureReason::Storage, "A part of a sealed file is not in the data directory any more.")
}

fn same_context(asked: &[ContextEntry], expected: &[(String, String)]) -> bool {
    asked.len() == expected.len()
        && expected
            .iter()
            .all(|(key, value)| asked.iter().any(|entry| entry.key == *key && entry.value == *value))
}

fn halt_code(code: ErrorCode) -> HaltCode {
    match code {
        ErrorCode::AgreementRefused => HaltCode::AgreementRefused,
        ErrorCode::InputsRefused => HaltCode::InputsRefused,
        ErrorCode::AttestationRefused => HaltCode::AttestationRefused,
        ErrorCode::KeyRefused => HaltCode::KeyRefused,
        ErrorCode::CiphertextRefused => HaltCode::CiphertextRefused,
        ErrorCode::RunFailed => HaltCode::RunFailed,
    }
}

/// The host's end and the time until which it may block.
struct Line {
    end: HostEnd<Timed>,
    deadline: Rc<Cell<Instant>>,
}

impl Line {
    fn new(stream: Stream) -> Self {
        let deadline = Rc::new(Cell::new(Instant::now()));
        Self { end: HostEnd::new(Timed { stream, deadline: deadline.clone() }), deadline }
    }
}

enum Stream {
    Unix(UnixStream),
    Vsock(vsock::VsockStream),
}

/// A stream whose every read and write ends at one deadline, however slowly the other end drips.
struct Timed {
    stream: Stream,
    deadline: Rc<Cell<Instant>>,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.get().saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        match &mut self.stream {
            Stream::Unix(stream) => {
                stream.set_read_timeout(left)?;
                stream.read(room)
            }
            Stream::Vsock(stream) => {
                stream.set_read_timeout(left)?;
                stream.read(room)
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        match &mut self.stream {
            Stream::Unix(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
            Stream::Vsock(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Unix(stream) => stream.flush(),
            Stream::Vsock(stream) => stream.flush(),
        }
    }
}
