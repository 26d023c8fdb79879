//! `entente host`: be the platform owner.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use entente_host::client::{Client, SealedFile};
use entente_host::{Config, Host as Served};
use entente_image::Eif;
use entente_party::{read_agreement, read_approvals, read_inputs, read_signatures};

use super::runtime::block_on;
use super::{files, inputs};
use crate::output::{Misuse, Output, Verdict};
use crate::progress;

/// Be the platform owner: serve the host, hand files to it.
#[derive(Subcommand)]
pub(crate) enum Host {
    /// Serve the host: store ciphertext, start enclaves, relay bytes
    ///
    /// Prints one JSON line when it listens. Ends on SIGINT or SIGTERM; runs that were live are then `interrupted` and
    /// can be started again.
    ///
    /// Example: entente host serve --data host --config host.toml --listen 127.0.0.1:8470
    Serve(Serve),
    /// Hand an agreement, its approvals, image, sealed data and input set to a host; goes on where it was cut off
    ///
    /// Example: entente host push --host http://127.0.0.1:8470 --token host/token --agreement agreement.toml
    /// --image auction.eif --inputs inputs.toml --sealed sealed
    Push(Push),
}

/// Where a host is, and the token that it wants.
#[derive(Args)]
pub(crate) struct Connection {
    /// The host's address
    #[arg(long, value_name = "URL", env = "ENTENTE_HOST")]
    host: String,
    /// The file with its token
    #[arg(long, value_name = "FILE", env = "ENTENTE_HOST_TOKEN")]
    token: PathBuf,
}

impl Connection {
    /// A client for it.
    pub(crate) fn open(&self) -> Result<Client> {
        Ok(Client::open(&self.host, &self.token)?)
    }
}

#[derive(Args)]
pub(crate) struct Serve {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Configuration (TOML): limits, timeouts, the local platform, key services
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    /// Allow an address that is not loopback: a TLS proxy stands in front, since this version speaks no TLS
    #[arg(long)]
    behind_tls_proxy: bool,
}

#[derive(Args)]
pub(crate) struct Push {
    #[command(flatten)]
    connection: Connection,
    /// The agreement; the approvals lie beside it
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// An image (EIF) that the agreement names
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// The input set; its signatures lie beside it
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// A directory with sealed files, manifests and their signatures
    #[arg(long, value_name = "DIR")]
    sealed: Option<PathBuf>,
}

impl Host {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Push(push) => block_on(push.run(output)),
        }
    }
}

impl Serve {
    fn run(self) -> Result<Verdict> {
        let filter =
            tracing_subscriber::EnvFilter::try_from_env("ENTENTE_LOG").unwrap_or_else(|_| "info".into());
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().init();
        let mut config = match &self.config {
            Some(file) => Config::from_file(&self.data, file)?,
            None => Config::new(&self.data),
        };
        if self.behind_tls_proxy {
            config = config.listen_behind_tls_proxy();
        }
        let host = Served::open(config)?;
        let token = host.token_path().to_path_buf();
        block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen)
                .await
                .with_context(|| format!("cannot listen on {}", self.listen))?;
            let address = listener.local_addr().context("cannot listen")?;
            announce("host", address, &serde_json::json!({ "token": token }));
            host.serve(listener, ended()).await?;
            Ok(Verdict::Good)
        })
    }
}

/// Say where a server listens: one JSON line on standard output.
pub(crate) fn announce(what: &str, address: SocketAddr, more: &serde_json::Value) {
    use std::io::Write as _;
    let mut line =
        serde_json::json!({ "state": "listening", "what": what, "url": format!("http://{address}") });
    if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
        line.extend(more.clone());
    }
    let mut out = std::io::stdout().lock();
    // Whoever started it may have stopped reading; it serves all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Resolves when the process is asked to end.
pub(crate) async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Push {
    async fn run(self, output: &mut Output) -> Result<Verdict> {
        let client = self.connection.open()?;
        let agreement = read_agreement(&self.agreement)?;
        let digest = client.put_agreement(agreement.bytes()).await?;
        output.line(format_args!("agreement {digest}"));
        output.fact("agreement", digest.to_string());
        for (party, armored) in read_approvals(&self.agreement)? {
            client.put_approval(digest, party.as_str(), &armored).await?;
            output.line(format_args!("approval of {party}"));
        }
        for path in &self.image {
            let bytes = files::read(path, 4 << 30)?;
            let image = Eif::parse(&bytes)
                .map_err(|error| Misuse(format!("{} is not an enclave image: {error}", path.display())))?;
            let facts = client.put_image(*image.measure().pcr0(), &bytes).await?;
            output.line(format_args!("image {}", facts.pcr0));
        }
        if let Some(directory) = &self.sealed {
            push_sealed(&client, directory, output).await?;
        }
        if let Some(path) = &self.inputs {
            let set = read_inputs(path)?;
            let inputs = client.put_inputs(set.bytes()).await?;
            for (party, armored) in read_signatures(path)? {
                client.put_inputs_signature(inputs, party.as_str(), &armored).await?;
                output.line(format_args!("input set signed by {party}"));
            }
            output.line(format_args!("input set {inputs}"));
            output.fact("inputs", inputs.to_string());
        }
        Ok(Verdict::Good)
    }
}

async fn push_sealed(client: &Client, directory: &Path, output: &mut Output) -> Result<()> {
    for signed in inputs::all_manifests(directory)? {
        let manifest = signed.manifest();
        let path = directory.join(format!("{}.{}", manifest.dataset(), manifest.format()));
        let bar = progress::bytes("upload", manifest.size());
        let sealed = SealedFile::new(manifest.bytes(), signed.signature(), &path);
        client.upload_sealed(sealed, |progress| bar.set_position(progress.done_bytes())).await?;
        bar.finish_and_clear();
        output.line(format_args!("sealed {} ({} bytes)", manifest.dataset(), manifest.size()));
    }
    Ok(())
}
