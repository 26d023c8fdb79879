//! `entente run`: start runs on a host and follow them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Subcommand};
use entente_agreement::Name;
use entente_attestation::Digest384;
use entente_host::client::Client;
use entente_host::messages::{NewRun, RunFacts, RunId, RunState};
use entente_party::{read_agreement, read_inputs};

use super::files;
use super::host::Connection;
use super::runtime::block_on;
use crate::output::{Misuse, Output, Verdict};

/// Start runs on a host and follow them.
#[derive(Subcommand)]
pub(crate) enum Run {
    /// Start a run; with --wait, follow it to its end
    ///
    /// The same run, started again after it failed, has the same outcome. Exit code 1: it ended without results.
    ///
    /// Example: entente run start --host http://127.0.0.1:8470 --token host/token --agreement agreement.toml
    /// --inputs inputs.toml --wait --out results
    Start(Start),
    /// Print the state of a run
    ///
    /// Example: entente run status 01J… --host http://127.0.0.1:8470 --token host/token
    Status {
        /// The run
        id: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print the runs of a host, newest first
    ///
    /// Example: entente run list --host http://127.0.0.1:8470 --token host/token
    List {
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        connection: Connection,
    },
    /// Stop a run
    ///
    /// Example: entente run stop 01J… --host http://127.0.0.1:8470 --token host/token
    Stop {
        /// The run
        id: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Fetch receipt and result files of a finished run
    ///
    /// Example: entente run fetch 01J… --out results --host http://127.0.0.1:8470 --token host/token
    Fetch {
        /// The run
        id: RunId,
        /// Where to write them; files that are there are not replaced
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Args)]
pub(crate) struct Start {
    #[command(flatten)]
    connection: Connection,
    /// The agreement
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// The input set; names the analysis, too
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    /// Write receipt and result files there
    #[arg(long, value_name = "DIR", requires = "wait")]
    out: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        block_on(async {
            match self {
                Self::Start(start) => start.run(output).await,
                Self::Status { id, connection } => {
                    let facts = connection.open()?.run(&id).await?;
                    print(&facts, output);
                    Ok(Verdict::Good)
                }
                Self::List { limit, connection } => list(&connection.open()?, limit, output).await,
                Self::Stop { id, connection } => {
                    let facts = connection.open()?.stop_run(&id).await?;
                    print(&facts, output);
                    Ok(Verdict::Good)
                }
                Self::Fetch { id, out, connection } => {
                    fetch(&connection.open()?, &id, &out, output).await?;
                    Ok(Verdict::Good)
                }
            }
        })
    }
}

impl Start {
    async fn run(self, output: &mut Output) -> Result<Verdict> {
        let client = self.connection.open()?;
        let agreement = read_agreement(&self.agreement)?;
        let set = read_inputs(&self.inputs)?;
        let new = NewRun {
            agreement: agreement.digest(),
            analysis: set.analysis().to_string(),
            inputs: set.digest(),
            request: None,
        };
        let run = client.create_run(&new).await?;
        if !self.wait {
            print(&run, output);
            return Ok(Verdict::Good);
        }
        let mut last = "";
        let facts = client
            .wait_for_run(&run.id, |facts| {
                if facts.state.name() != last {
                    last = facts.state.name();
                    output.line(format_args!("run {} {last}", facts.id));
                }
            })
            .await?;
        print(&facts, output);
        if facts.state != RunState::Finished {
            return Ok(Verdict::Bad);
        }
        if let Some(out) = &self.out {
            fetch(&client, &facts.id, out, output).await?;
        }
        Ok(Verdict::Good)
    }
}

async fn list(client: &Client, limit: u32, output: &mut Output) -> Result<Verdict> {
    let runs = client.runs(None, limit).await?.runs;
    for run in &runs {
        output.line(sentence(run));
    }
    output.fact("runs", &runs);
    Ok(Verdict::Good)
}

fn sentence(facts: &RunFacts) -> String {
    let more = match &facts.state {
        RunState::Halted { code } => format!(": {code:?}"),
        RunState::Failed { message, .. } => format!(": {message}"),
        _ => String::new(),
    };
    format!(
        "{} {} {}{more} (attempt {}, asked for at {})",
        facts.id,
        facts.run.analysis,
        facts.state.name(),
        facts.attempt,
        facts.created
    )
}

fn print(facts: &RunFacts, output: &mut Output) {
    output.line(sentence(facts));
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(facts) {
        for (name, value) in members {
            output.fact(&name, value);
        }
    }
}

/// Write all files of a run. Each is compared with the digest that the host states, which proves nothing: that is for the receipt.
async fn fetch(client: &Client, id: &RunId, out: &Path, output: &mut Output) -> Result<()> {
    fs::create_dir_all(out).map_err(|error| Misuse(format!("cannot make {}: {error}", out.display())))?;
    let receipt = client.receipt(id).await?;
    files::create(&out.join("receipt.json"), &receipt)?;
    output.line(format_args!("wrote {}", out.join("receipt.json").display()));
    let mut names = Vec::new();
    for result in client.results(id).await?.results {
        let name = file_name(&result.name)?;
        let mut file = tempfile::NamedTempFile::new_in(out).context("cannot write a result")?;
        let found: Digest384 = client.download_result(id, &result.name, file.as_file_mut(), |_| ()).await?;
        ensure!(
            found == result.digest,
            "the host sent another {} than it states; fetch it again",
            result.name
        );
        file.as_file().sync_all().context("cannot write a result")?;
        file.persist_noclobber(out.join(&name))
            .with_context(|| format!("cannot write {}", out.join(&name).display()))?;
        output.line(format_args!("wrote {}", out.join(&name).display()));
        names.push(name);
    }
    output.fact("receipt", out.join("receipt.json"));
    output.fact("results", names);
    Ok(())
}

/// A result's name comes from the host: it must be `OUTPUT.RECIPIENT.age` and nothing that leads elsewhere.
fn file_name(name: &str) -> Result<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let good = matches!(parts.as_slice(), [output, recipient, "age"]
        if output.parse::<Name>().is_ok() && recipient.parse::<Name>().is_ok());
    if good {
        Ok(name.to_owned())
    } else {
        Err(anyhow!("the host names a result {name:?}, which is no result's name"))
    }
}
