//! `entente key`: the key service and the policies that release keys.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_kms::error::DisplayErrorContext;
use clap::{Args, Subcommand};
use entente_agreement::Name;
use entente_attestation::{RootKind, TrustAnchor};
use entente_keyservice::{AttestationRoot, Credentials, InitOptions, Service, serve};
use entente_party::read_inputs;
use entente_release::policy::{KeyPolicy, PrincipalArn};
use entente_release::{Release, audit, render};

use super::agreement::read as read_agreement;
use super::host::{announce, ended};
use super::runtime::block_on;
use super::{attest, files};
use crate::output::{Misuse, Output, Verdict};

/// The longest key policy that is read, in bytes: what AWS KMS takes.
const POLICY_LIMIT: u64 = 32 << 10;

/// The key service and the policies that release keys.
#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a key service of your own: a store, a root key, credentials for you and for the host
    ///
    /// Example: entente key init --dir keys --account 222222222222 --region eu-central-1 --simulated root.pem
    Init(Init),
    /// Serve it: the AWS KMS protocol over HTTP on a loopback address
    ///
    /// Prints one JSON line when it listens, and writes the address into DIR/owner.aws and DIR/host.toml. AWS's tools use it
    /// with AWS_CONFIG_FILE=DIR/owner.aws.
    ///
    /// Example: entente key serve --dir keys --listen 127.0.0.1:8471
    Serve {
        /// The key service's directory
        #[arg(long)]
        dir: PathBuf,
        /// Address to listen on; loopback only
        #[arg(long, default_value = "127.0.0.1:8471")]
        listen: SocketAddr,
    },
    /// Create a key and print its ARN; the service is found as AWS's own tools find it
    ///
    /// Example: AWS_CONFIG_FILE=keys/owner.aws entente key create --description 'bids of north'
    Create {
        /// What it is for
        #[arg(long, default_value = "entente")]
        description: String,
    },
    /// Print the key policy that releases a dataset's key to exactly what an agreement and an input set say
    ///
    /// `inputs sign` installs it; this shows it beforehand, for review or for another tool to install.
    ///
    /// Example: entente key policy --agreement agreement.toml --inputs inputs.toml --dataset bids-north
    /// --owner-principal arn:aws:iam::222222222222:root --host-principal arn:aws:iam::222222222222:role/entente-host
    Policy(Policy),
    /// Say what a key policy allows beyond that
    ///
    /// Exit code 0: nothing. 1: something, in words.
    ///
    /// Example: entente key audit policy.json --agreement agreement.toml --inputs inputs.toml --dataset bids-north
    /// --owner-principal arn:aws:iam::222222222222:root --host-principal arn:aws:iam::222222222222:role/entente-host
    Audit {
        /// The policy (JSON); `-` is standard input
        policy: PathBuf,
        #[command(flatten)]
        agreed: Policy,
    },
}

#[derive(Args)]
pub(crate) struct Init {
    /// The directory to make
    #[arg(long)]
    dir: PathBuf,
    /// The account number of its keys, 12 digits
    #[arg(long)]
    account: String,
    /// The region of its keys
    #[arg(long)]
    region: String,
    /// Believe documents under this simulated root (certificate, PEM or DER): for development and tests
    #[arg(long, value_name = "FILE", required_unless_present = "aws_nitro", conflicts_with = "aws_nitro")]
    simulated: Option<PathBuf>,
    /// Believe documents of AWS Nitro hardware
    #[arg(long)]
    aws_nitro: bool,
    /// The name of the role that the host's credentials stand for
    #[arg(long, default_value = "entente-host")]
    host_role: String,
}

#[derive(Args)]
pub(crate) struct Policy {
    /// The agreement
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// The input set
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Which dataset's key
    #[arg(long)]
    dataset: Name,
    /// Your own principal: it keeps all rights
    #[arg(long, value_name = "ARN")]
    owner_principal: String,
    /// The host's principal
    #[arg(long, value_name = "ARN")]
    host_principal: String,
}

impl Key {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Init(init) => init.run(output),
            Self::Serve { dir, listen } => serve_keys(&dir, listen),
            Self::Create { description } => create(&description, output),
            Self::Policy(policy) => policy.render(output),
            Self::Audit { policy, agreed } => agreed.audit(&policy, output),
        }
    }
}

impl Init {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let root = match &self.simulated {
            None => AttestationRoot::AwsNitro,
            Some(path) => {
                let anchor: TrustAnchor = attest::anchor(Some(path))?;
                ensure!(
                    anchor.kind() == RootKind::Simulated,
                    Misuse(format!("{} is AWS's root: say --aws-nitro", path.display()))
                );
                AttestationRoot::Simulated { certificate_der: attest::certificate(path)? }
            }
        };
        let host: PrincipalArn = format!("arn:aws:iam::{}:role/{}", self.account, self.host_role)
            .parse()
            .map_err(|error| Misuse(format!("{error}")))?;
        let options = InitOptions::new(&self.account, &self.region, root);
        let owner = Service::init(&self.dir, &options)?;
        let service = Service::open(&self.dir)?;
        let host = service.add_credentials(&host)?;
        write_clients(&self.dir, &self.account, &self.region, &owner, &host)?;
        if self.simulated.is_some() {
            output.line("SIMULATED: this service believes the holder of that root's key");
        }
        output.line(format_args!("made {}", self.dir.display()));
        output.line(format_args!(
            "you      {}: AWS_CONFIG_FILE={}",
            owner.principal(),
            self.dir.join("owner.aws").display()
        ));
        output.line(format_args!(
            "the host {}: {}, {}",
            host.principal(),
            self.dir.join("host.toml").display(),
            self.dir.join("host.secret").display()
        ));
        output.fact("dir", &self.dir);
        output.fact("owner_principal", owner.principal().to_string());
        output.fact("host_principal", host.principal().to_string());
        output.fact("simulated", self.simulated.is_some());
        Ok(Verdict::Good)
    }
}

/// Files for the clients: an AWS configuration file for the owner, a block of `host.toml` and a secret for the host.
fn write_clients(
    dir: &Path,
    account: &str,
    region: &str,
    owner: &Credentials,
    host: &Credentials,
) -> Result<()> {
    let profile = format!(
        "[default]\nregion = {region}\naws_access_key_id = {}\naws_secret_access_key = {}\nendpoint_url = http://127.0.0.1:8471\n",
        owner.access_key().id(),
        owner.access_key().expose_secret()
    );
    let block = format!(
        "[[key_service]]\naccount = \"{account}\"\nendpoint = \"http://127.0.0.1:8471\"\naccess_key_id = \"{}\"\nsecret_access_key_file = \"host.secret\"\n",
        host.access_key().id()
    );
    files::create_private(&dir.join("owner.aws"), profile.as_bytes())?;
    files::create_private(&dir.join("host.toml"), block.as_bytes())?;
    files::create_private(
        &dir.join("host.secret"),
        format!("{}\n", host.access_key().expose_secret()).as_bytes(),
    )
}

/// Put the address where the clients look for it.
fn write_address(dir: &Path, address: SocketAddr) -> Result<()> {
    for (file, key, value) in [
        ("owner.aws", "endpoint_url = ", format!("http://{address}")),
        ("host.toml", "endpoint = ", format!("\"http://{address}\"")),
    ] {
        let path = dir.join(file);
        // Whoever moved a file away has its own.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines: Vec<String> = text
            .lines()
            .map(|line| if line.starts_with(key) { format!("{key}{value}") } else { line.to_owned() })
            .collect();
        files::replace_private(&path, format!("{}\n", lines.join("\n")).as_bytes())?;
    }
    Ok(())
}

fn serve_keys(dir: &Path, listen: SocketAddr) -> Result<Verdict> {
    ensure!(
        listen.ip().is_loopback(),
        Misuse(format!("{listen} is not a loopback address: this version speaks no TLS"))
    );
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENTENTE_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().init();
    let service = Arc::new(Service::open(dir)?);
    block_on(async {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("cannot listen")?;
        write_address(dir, address)?;
        announce(
            "key",
            address,
            &serde_json::json!({ "account": service.account(), "region": service.region() }),
        );
        serve(service, listener, ended()).await.context("the key service ended")?;
        Ok(Verdict::Good)
    })
}

fn create(description: &str, output: &mut Output) -> Result<Verdict> {
    let arn = block_on(async {
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        let answer = aws_sdk_kms::Client::new(&config)
            .create_key()
            .description(description)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("the key service: {}", DisplayErrorContext(error)))?;
        answer
            .key_metadata
            .and_then(|metadata| metadata.arn)
            .context("the key service answered without an ARN")
    })?;
    output.line(&arn);
    output.fact("arn", arn);
    Ok(Verdict::Good)
}

impl Policy {
    fn principals(&self) -> Result<[PrincipalArn; 2]> {
        let parse = |text: &str| -> Result<PrincipalArn> {
            text.parse().map_err(|error| Misuse(format!("{text}: {error}")).into())
        };
        Ok([parse(&self.owner_principal)?, parse(&self.host_principal)?])
    }

    fn render(&self, output: &mut Output) -> Result<Verdict> {
        let [owner, host] = self.principals()?;
        let agreement = read_agreement(&self.agreement)?;
        let policy = render(&agreement, &read_inputs(&self.inputs)?, &self.dataset, &owner, &host)?;
        output.raw(format!("{}\n", policy.to_indented_json().trim_end()).as_bytes());
        Ok(Verdict::Good)
    }

    fn audit(&self, policy: &Path, output: &mut Output) -> Result<Verdict> {
        let [owner, host] = self.principals()?;
        let agreement = read_agreement(&self.agreement)?;
        let release = Release::of(&agreement, &read_inputs(&self.inputs)?, &self.dataset, &host)?;
        let text = String::from_utf8(files::read(policy, POLICY_LIMIT)?)
            .map_err(|_| Misuse(format!("{} is not text", policy.display())))?;
        let parsed =
            KeyPolicy::parse(&text).with_context(|| format!("{} is no key policy", policy.display()))?;
        let findings = audit(&parsed, &owner, &[release]);
        for finding in &findings {
            output.line(finding);
        }
        if findings.is_empty() {
            output.line("the policy allows nothing beyond the agreement");
        }
        output.fact("findings", findings.iter().map(ToString::to_string).collect::<Vec<_>>());
        Ok(if findings.is_empty() { Verdict::Good } else { Verdict::Bad })
    }
}
