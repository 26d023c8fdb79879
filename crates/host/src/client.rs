//! The API from the other side: a typed client with uploads that go on where they stopped.
//!
//! What a host says proves nothing. Callers check agreements, receipts and results themselves; this client checks only
//! that bytes asked for by their digest have it.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use entente_attestation::Digest384;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::messages::{
    AgreementFacts, AgreementList, Health, ImageFacts, ImageList, InputsFacts, InputsList, ManifestFacts,
    ManifestList, MissingChunks, NewRun, Problem, ProblemCode, RequestFacts, RequestList, ResultList,
    RunEvents, RunFacts, RunId, RunList, Stored,
};
use crate::store::files::PrivateFileError;
use crate::token;

/// Bytes of a piece of a sealed file (PROTOCOL §2).
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of the longest JSON answer that is read: a list of 1,000 entries has well below that.
const JSON_BYTES: u64 = 64 << 20;
/// Bytes of the longest text object or signature.
const TEXT_BYTES: u64 = 256 * 1024;
/// Attempts at a request that failed on its way, and the wait before the second; it doubles.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Wait for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Wait for an answer, or for its next bytes: longer than any request that waits for events.
const READ_TIME: Duration = Duration::from_secs(120);

/// A client of one host.
///
/// ```no_run
/// use entente_host::client::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::open("http://127.0.0.1:7080", std::path::Path::new("/var/lib/entente/token"))?;
/// for run in client.runs(None, 10).await?.runs {
///     println!("{} {}", run.id, run.state.name());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// How far an upload or download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    done_bytes: u64,
    total_bytes: u64,
}

impl Progress {
    /// Bytes that are there, those of earlier attempts included.
    #[must_use]
    pub fn done_bytes(&self) -> u64 {
        self.done_bytes
    }

    /// Bytes of the whole.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }
}

/// A sealed file to upload.
#[derive(Debug, Clone, Copy)]
pub struct SealedFile<'a> {
    manifest: &'a [u8],
    signature: &'a [u8],
    path: &'a Path,
}

impl<'a> SealedFile<'a> {
    /// The manifest's exact bytes, the owner's armored signature on it, and where the sealed file lies.
    #[must_use]
    pub fn new(manifest: &'a [u8], signature: &'a [u8], path: &'a Path) -> Self {
        Self { manifest, signature, path }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The host answered with a problem: its message and what to do.
    #[error("{}\n{}", problem.message, problem.action)]
    Problem {
        /// HTTP status.
        status: u16,
        /// What the host says.
        problem: Box<Problem>,
    },
    /// The host was not reached, or the connection broke, more often than is tried.
    #[error("the host {url} was not reached: {problem}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        problem: String,
    },
    /// The answer is not what a host of this version gives.
    #[error("the host's answer is not understood: {problem}")]
    Answer {
        /// What is wrong with it.
        problem: String,
    },
    /// The address is not `http://HOST[:PORT]`.
    #[error(
        "{url:?} is not http://HOST[:PORT]; for https use a local TLS tunnel, this version speaks none itself"
    )]
    Address {
        /// What was given.
        url: String,
    },
    /// The token's file.
    #[error(transparent)]
    Token(#[from] PrivateFileError),
    /// A local file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The sealed file is not the one that the manifest is about.
    #[error("{path} is not the file that the manifest is about; seal it again, or give the right file")]
    OtherFile {
        /// The file.
        path: String,
    },
    /// The host gave other bytes than those asked for.
    #[error("the host gave bytes with SHA-384 {found} where {expected} was asked for")]
    OtherBytes {
        /// What was asked for.
        expected: Digest384,
        /// What came.
        found: Digest384,
    },
}

impl ClientError {
    /// The stable code, if the host answered with a problem.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            _ => None,
        }
    }
}

type Outcome<T> = Result<T, ClientError>;

impl Client {
    /// A client of the host at `url` (`http://HOST[:PORT]`), with the token in a file that only its owner can read.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Token`].
    pub fn open(url: &str, token_file: &Path) -> Outcome<Self> {
        let digits = token::read(token_file)?;
        let token = String::from_utf8(digits).map_err(|_| PrivateFileError::Form {
            path: token_file.to_owned(),
            expected: "64 lower-case hex digits",
        })?;
        Self::with_token(url, token)
    }

    /// As [`Client::open`], with the token itself.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn with_token(url: &str, token: impl Into<String>) -> Outcome<Self> {
        let address = || ClientError::Address { url: url.to_owned() };
        let base = Url::parse(url).map_err(|_| address())?;
        let is_plain = base.scheme() == "http"
            && base.has_host()
            && base.path() == "/"
            && base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty();
        if !is_plain {
            return Err(address());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .read_timeout(READ_TIME)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy of the environment would see the token.
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Unreachable { url: url.to_owned(), problem: error.to_string() })?;
        Ok(Self { http, base, token: token.into() })
    }

    /// Whether the host answers, its version and platform. Needs no token.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn health(&self) -> Outcome<Health> {
        self.read("/healthz").await
    }

    // ---- agreements ----

    /// Stores an agreement and returns its digest.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_agreement(&self, bytes: &[u8]) -> Outcome<Digest384> {
        self.put_object("agreements", bytes).await
    }

    /// Agreements by digest: those after `after`, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn agreements(&self, after: Option<Digest384>, limit: u32) -> Outcome<AgreementList> {
        self.read(&format!("/v1/agreements?{}", page(after, limit))).await
    }

    /// An agreement as the host knows it.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn agreement(&self, agreement: Digest384) -> Outcome<AgreementFacts> {
        self.read(&format!("/v1/agreements/{agreement}")).await
    }

    /// The exact bytes of an agreement; their digest was compared.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn agreement_text(&self, agreement: Digest384) -> Outcome<Vec<u8>> {
        self.object_text("agreements", agreement).await
    }

    /// Stores a party's approval.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_approval(&self, agreement: Digest384, party: &str, armored: &[u8]) -> Outcome<()> {
        self.put_signature(&format!("/v1/agreements/{agreement}/approvals/{party}"), armored).await
    }

    /// A party's approval. It was not verified by this client.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn approval(&self, agreement: Digest384, party: &str) -> Outcome<Vec<u8>> {
        self.text(&format!("/v1/agreements/{agreement}/approvals/{party}")).await
    }

    // ---- manifests and sealed files ----

    /// Manifests of an agreement by digest: those after `after`, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn manifests(
        &self,
        agreement: Digest384,
        after: Option<Digest384>,
        limit: u32,
    ) -> Outcome<ManifestList> {
        self.read(&format!("/v1/agreements/{agreement}/manifests?{}", page(after, limit))).await
    }

    /// Stores a manifest and returns its digest.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_manifest(&self, bytes: &[u8]) -> Outcome<Digest384> {
        self.put_object("manifests", bytes).await
    }

    /// A manifest, and how much of its sealed file is there.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn manifest(&self, manifest: Digest384) -> Outcome<ManifestFacts> {
        self.read(&format!("/v1/manifests/{manifest}")).await
    }

    /// The exact bytes of a manifest; their digest was compared.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn manifest_text(&self, manifest: Digest384) -> Outcome<Vec<u8>> {
        self.object_text("manifests", manifest).await
    }

    /// Stores the owner's signature on a manifest.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_manifest_signature(&self, manifest: Digest384, armored: &[u8]) -> Outcome<()> {
        self.put_signature(&format!("/v1/manifests/{manifest}/signature"), armored).await
    }

    /// The owner's signature on a manifest. It was not verified by this client.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn manifest_signature(&self, manifest: Digest384) -> Outcome<Vec<u8>> {
        self.text(&format!("/v1/manifests/{manifest}/signature")).await
    }

    /// Stores the list of chunk digests of a sealed file and returns which chunks are missing.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_chunk_list(&self, manifest: Digest384, digests: &[u8]) -> Outcome<MissingChunks> {
        self.put(&format!("/v1/manifests/{manifest}/chunks"), digests).await
    }

    /// Stores one chunk.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_chunk(&self, manifest: Digest384, number: u32, bytes: &[u8]) -> Outcome<()> {
        let _: Stored = self.put(&format!("/v1/manifests/{manifest}/chunks/{number}"), bytes).await?;
        Ok(())
    }

    /// Which chunks of a sealed file are missing.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn missing_chunks(&self, manifest: Digest384) -> Outcome<MissingChunks> {
        self.read(&format!("/v1/manifests/{manifest}/missing")).await
    }

    /// Removes a sealed file from the host; the manifest stays.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn remove_sealed(&self, manifest: Digest384) -> Outcome<()> {
        self.delete(&format!("/v1/manifests/{manifest}/chunks")).await
    }

    /// Uploads a sealed file with its manifest and signature, from where an earlier upload stopped, and returns the
    /// manifest's digest. `progress` is called after every chunk. The file is read twice, in pieces of 1 MiB.
    ///
    /// # Errors
    /// A [`ClientError`]; after it the same call goes on with what is missing.
    pub async fn upload_sealed(
        &self,
        sealed: SealedFile<'_>,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Outcome<Digest384> {
        let manifest = self.put_manifest(sealed.manifest).await?;
        self.put_manifest_signature(manifest, sealed.signature).await?;
        let facts = self.manifest(manifest).await?;
        let total_bytes = facts.bytes;
        let mut missing = if facts.listed {
            self.missing_chunks(manifest).await?
        } else {
            let path = sealed.path.to_owned();
            let digests = blocking(move || chunk_digests(&path))
                .await?
                .map_err(|error| file_error(sealed.path, error))?;
            match self.put_chunk_list(manifest, &digests).await {
                Err(error) if error.code() == Some(ProblemCode::DigestMismatch) => {
                    return Err(ClientError::OtherFile { path: sealed.path.display().to_string() });
                }
                other => other?,
            }
        };
        loop {
            let present = u64::from(missing.chunk_count.saturating_sub(missing.missing_count));
            let mut done_bytes = present.saturating_mul(1 << 20).min(total_bytes);
            progress(Progress { done_bytes, total_bytes });
            if missing.missing.is_empty() {
                return Ok(manifest);
            }
            for range in &missing.missing {
                for number in range.first..=range.last {
                    let path = sealed.path.to_owned();
                    let bytes = blocking(move || chunk_of(&path, number)).await?;
                    let bytes = bytes.map_err(|error| file_error(sealed.path, error))?;
                    match self.put_chunk(manifest, number, &bytes).await {
                        Err(error) if error.code() == Some(ProblemCode::DigestMismatch) => {
                            return Err(ClientError::OtherFile { path: sealed.path.display().to_string() });
                        }
                        other => other?,
                    }
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    done_bytes = done_bytes.saturating_add(length).min(total_bytes);
                    progress(Progress { done_bytes, total_bytes });
                }
            }
            missing = self.missing_chunks(manifest).await?;
        }
    }

    // ---- input sets ----

    /// Stores an input set and returns its digest.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_inputs(&self, bytes: &[u8]) -> Outcome<Digest384> {
        self.put_object("inputs", bytes).await
    }

    /// Input sets of an agreement by digest: those after `after`, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn input_sets(
        &self,
        agreement: Digest384,
        after: Option<Digest384>,
        limit: u32,
    ) -> Outcome<InputsList> {
        self.read(&format!("/v1/agreements/{agreement}/inputs?{}", page(after, limit))).await
    }

    /// An input set as the host knows it.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn inputs(&self, inputs: Digest384) -> Outcome<InputsFacts> {
        self.read(&format!("/v1/inputs/{inputs}")).await
    }

    /// The exact bytes of an input set; their digest was compared.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn inputs_text(&self, inputs: Digest384) -> Outcome<Vec<u8>> {
        self.object_text("inputs", inputs).await
    }

    /// Stores an owner's signature on an input set.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_inputs_signature(&self, inputs: Digest384, party: &str, armored: &[u8]) -> Outcome<()> {
        self.put_signature(&format!("/v1/inputs/{inputs}/signatures/{party}"), armored).await
    }

    /// An owner's signature on an input set. It was not verified by this client.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn inputs_signature(&self, inputs: Digest384, party: &str) -> Outcome<Vec<u8>> {
        self.text(&format!("/v1/inputs/{inputs}/signatures/{party}")).await
    }

    // ---- requests ----

    /// Stores a request and returns its digest.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_request(&self, bytes: &[u8]) -> Outcome<Digest384> {
        self.put_object("requests", bytes).await
    }

    /// Requests of an agreement by digest: those after `after`, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn requests(
        &self,
        agreement: Digest384,
        after: Option<Digest384>,
        limit: u32,
    ) -> Outcome<RequestList> {
        self.read(&format!("/v1/agreements/{agreement}/requests?{}", page(after, limit))).await
    }

    /// A request as the host knows it.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn request(&self, request: Digest384) -> Outcome<RequestFacts> {
        self.read(&format!("/v1/requests/{request}")).await
    }

    /// The exact bytes of a request; their digest was compared.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn request_text(&self, request: Digest384) -> Outcome<Vec<u8>> {
        self.object_text("requests", request).await
    }

    /// Stores a signature on a request.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_request_signature(
        &self,
        request: Digest384,
        party: &str,
        armored: &[u8],
    ) -> Outcome<()> {
        self.put_signature(&format!("/v1/requests/{request}/signatures/{party}"), armored).await
    }

    /// A signature on a request. It was not verified by this client.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn request_signature(&self, request: Digest384, party: &str) -> Outcome<Vec<u8>> {
        self.text(&format!("/v1/requests/{request}/signatures/{party}")).await
    }

    // ---- images ----

    /// Images that are stored.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn images(&self) -> Outcome<ImageList> {
        self.read("/v1/images").await
    }

    /// An image's measurements, as the host measured them.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn image(&self, pcr0: Digest384) -> Outcome<ImageFacts> {
        self.read(&format!("/v1/images/{pcr0}")).await
    }

    /// Uploads an image, the bytes of an EIF with this PCR0.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn put_image(&self, pcr0: Digest384, eif: &[u8]) -> Outcome<ImageFacts> {
        self.put(&format!("/v1/images/{pcr0}"), eif).await
    }

    /// Removes an image.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn remove_image(&self, pcr0: Digest384) -> Outcome<()> {
        self.delete(&format!("/v1/images/{pcr0}")).await
    }

    // ---- runs ----

    /// Asks for a run. Not repeated when the connection breaks: it may have been taken; look at [`Client::runs`].
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn create_run(&self, run: &NewRun) -> Outcome<RunFacts> {
        let response = self.send_once(self.request_of(Method::POST, "/v1/runs")?.json(run)).await?;
        read_json(accept(response).await?).await
    }

    /// A run.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn run(&self, run: &RunId) -> Outcome<RunFacts> {
        self.read(&format!("/v1/runs/{run}")).await
    }

    /// Runs, newest first, at most `limit` (1 to 1,000), of one agreement or of all.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn runs(&self, agreement: Option<Digest384>, limit: u32) -> Outcome<RunList> {
        let agreement = agreement.map(|agreement| format!("&agreement={agreement}")).unwrap_or_default();
        self.read(&format!("/v1/runs?limit={limit}{agreement}")).await
    }

    /// Starts a run again that ended without results.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn start_run(&self, run: &RunId) -> Outcome<RunFacts> {
        let response =
            self.send_once(self.request_of(Method::POST, &format!("/v1/runs/{run}/start"))?).await?;
        read_json(accept(response).await?).await
    }

    /// Stops a run that waits or is live.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn stop_run(&self, run: &RunId) -> Outcome<RunFacts> {
        let response =
            self.send_once(self.request_of(Method::POST, &format!("/v1/runs/{run}/stop"))?).await?;
        read_json(accept(response).await?).await
    }

    /// Removes a run that has ended, with its results.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn remove_run(&self, run: &RunId) -> Outcome<()> {
        self.delete(&format!("/v1/runs/{run}")).await
    }

    /// Events with a number above `after`; waits up to `wait_seconds` (at most 30) until there is one.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn run_events(&self, run: &RunId, after: u64, wait_seconds: u64) -> Outcome<RunEvents> {
        self.read(&format!("/v1/runs/{run}/events?after={after}&wait_seconds={wait_seconds}")).await
    }

    /// Waits until a run has ended; `look` sees it after every event.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn wait_for_run(
        &self,
        run: &RunId,
        mut look: impl FnMut(&RunFacts) + Send,
    ) -> Outcome<RunFacts> {
        let mut after = 0;
        loop {
            let events = self.run_events(run, after, 20).await?.events;
            after = events.last().map_or(after, |event| event.number);
            let facts = self.run(run).await?;
            look(&facts);
            if facts.state.is_ended() {
                return Ok(facts);
            }
        }
    }

    // ---- results ----

    /// Result files of a finished run.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn results(&self, run: &RunId) -> Outcome<ResultList> {
        self.read(&format!("/v1/runs/{run}/results")).await
    }

    /// Writes a result file to `out` and returns its SHA-384. It is not a result before it was compared with a receipt.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn download_result(
        &self,
        run: &RunId,
        name: &str,
        out: &mut (dyn io::Write + Send),
        mut progress: impl FnMut(Progress) + Send,
    ) -> Outcome<Digest384> {
        let path = format!("/v1/runs/{run}/results/{name}");
        let mut response = accept(self.send(|| self.request_of(Method::GET, &path)).await?).await?;
        let total_bytes = response.content_length().unwrap_or_default();
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA384);
        let mut done_bytes = 0u64;
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            digest.update(&piece);
            out.write_all(&piece).map_err(|error| ClientError::File { path: name.to_owned(), error })?;
            done_bytes = done_bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            progress(Progress { done_bytes, total_bytes });
        }
        Digest384::try_from(digest.finish().as_ref())
            .map_err(|error| ClientError::Answer { problem: error.to_string() })
    }

    /// The receipt of a finished run. It was not verified.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn receipt(&self, run: &RunId) -> Outcome<Vec<u8>> {
        let path = format!("/v1/runs/{run}/receipt");
        let response = accept(self.send(|| self.request_of(Method::GET, &path)).await?).await?;
        read_bytes(response, 1 << 20).await
    }

    // ---- how ----

    fn request_of(&self, method: Method, path: &str) -> Outcome<RequestBuilder> {
        let url = self.base.join(path).map_err(|error| ClientError::Answer { problem: error.to_string() })?;
        Ok(self.http.request(method, url).bearer_auth(&self.token))
    }

    async fn send_once(&self, request: RequestBuilder) -> Outcome<Response> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends a request that may be repeated, and repeats it while the host is busy or was not reached.
    async fn send(&self, request: impl Fn() -> Outcome<RequestBuilder>) -> Outcome<Response> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match request()?.send().await {
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => return Ok(response),
                Ok(_) | Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        self.send_once(request()?).await
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        // The error's own text says little; its causes say it.
        let mut problem = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            problem = error.to_string();
            cause = error.source();
        }
        ClientError::Unreachable { url: self.base.to_string(), problem }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let response = self.send(|| self.request_of(Method::GET, path)).await?;
        read_json(accept(response).await?).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &str, bytes: &[u8]) -> Outcome<T> {
        let body = axum::body::Bytes::copy_from_slice(bytes);
        let response = self.send(|| Ok(self.request_of(Method::PUT, path)?.body(body.clone()))).await?;
        read_json(accept(response).await?).await
    }

    async fn put_object(&self, kind: &str, bytes: &[u8]) -> Outcome<Digest384> {
        let digest = Digest384::of(bytes);
        let _: Stored = self.put(&format!("/v1/{kind}/{digest}"), bytes).await?;
        Ok(digest)
    }

    async fn put_signature(&self, path: &str, armored: &[u8]) -> Outcome<()> {
        let _: Stored = self.put(path, armored).await?;
        Ok(())
    }

    async fn text(&self, path: &str) -> Outcome<Vec<u8>> {
        let response = self.send(|| self.request_of(Method::GET, path)).await?;
        read_bytes(accept(response).await?, TEXT_BYTES).await
    }

    async fn object_text(&self, kind: &str, digest: Digest384) -> Outcome<Vec<u8>> {
        let bytes = self.text(&format!("/v1/{kind}/{digest}/text")).await?;
        let found = Digest384::of(&bytes);
        if found == digest { Ok(bytes) } else { Err(ClientError::OtherBytes { expected: digest, found }) }
    }

    async fn delete(&self, path: &str) -> Outcome<()> {
        // Not repeated: a second attempt would find nothing and say so.
        accept(self.send_once(self.request_of(Method::DELETE, path)?).await?).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

fn page(after: Option<Digest384>, limit: u32) -> String {
    match after {
        Some(after) => format!("limit={limit}&after={after}"),
        None => format!("limit={limit}"),
    }
}

/// A good answer, or the problem.
async fn accept(response: Response) -> Outcome<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Problem = read_json(response)
        .await
        .map_err(|_| ClientError::Answer { problem: format!("status {status} without a problem") })?;
    Err(ClientError::Problem { status: status.as_u16(), problem: Box::new(problem) })
}

async fn read_json<T: DeserializeOwned>(response: Response) -> Outcome<T> {
    let bytes = read_bytes(response, JSON_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer { problem: error.to_string() })
}

async fn read_bytes(mut response: Response, limit: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| ClientError::Answer { problem: error.to_string() };
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        if u64::try_from(bytes.len() + piece.len()).unwrap_or(u64::MAX) > limit {
            return Err(ClientError::Answer { problem: format!("an answer of more than {limit} bytes") });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ClientError::Answer { problem: error.to_string() })
}

fn file_error(path: &Path, error: io::Error) -> ClientError {
    ClientError::File { path: path.display().to_string(), error }
}

/// The SHA-384 of each piece of 1 MiB, one after the other.
fn chunk_digests(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let mut digests = Vec::new();
    loop {
        let piece = read_piece(&mut file)?;
        if piece.is_empty() {
            return Ok(digests);
        }
        digests.extend_from_slice(Digest384::of(&piece).as_bytes());
    }
}

fn chunk_of(path: &Path, number: u32) -> io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(u64::from(number) << 20))?;
    read_piece(&mut file)
}

fn read_piece(file: &mut std::fs::File) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(CHUNK_BYTES);
    file.take(1 << 20).read_to_end(&mut piece)?;
    Ok(piece)
}
