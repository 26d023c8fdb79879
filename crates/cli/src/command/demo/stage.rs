//! The stage of a demo: a directory, commands run in it and written to `steps.sh`, servers that end with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::output::Output;

/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(20);

/// A directory in which commands are run as a person would.
pub(crate) struct Stage<'a> {
    directory: PathBuf,
    program: PathBuf,
    script: File,
    servers: Vec<Server>,
    output: &'a mut Output,
    chapter: u32,
    environment: Option<(&'static str, String)>,
    /// Values that differ when the script is run again: shown as they are, written as variables.
    variables: Vec<(String, String)>,
}

/// A command that keeps running, ended with the stage.
struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a> Stage<'a> {
    /// Make `directory`, which must not exist or be empty.
    pub(crate) fn new(directory: &Path, output: &'a mut Output) -> Result<Self> {
        let name = directory.display();
        if directory.exists() {
            let empty =
                fs::read_dir(directory).with_context(|| format!("cannot read {name}"))?.next().is_none();
            ensure!(empty, "{name} is not empty; name another directory with --dir, or move it away");
        }
        fs::create_dir_all(directory).with_context(|| format!("cannot make {name}"))?;
        let directory = directory.canonicalize().with_context(|| format!("cannot find {name}"))?;
        let mut script = File::create_new(directory.join("steps.sh")).context("cannot write steps.sh")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let programs = program.parent().unwrap_or(Path::new("")).display().to_string();
        writeln!(
            script,
            "#!/bin/sh\n\
             # The commands of this demo, in order. To repeat them: copy this file into an empty directory and run it there,\n\
             # whole (`sh steps.sh`) or line by line. Servers run in the background and end with the shell.\n\
             set -eu\n\
             PATH={}:$PATH\n\
             servers=\n\
             trap 'kill $servers' EXIT",
            quoted(&programs)
        )
        .context("cannot write steps.sh")?;
        Ok(Self {
            directory,
            program,
            script,
            servers: Vec::new(),
            output,
            chapter: 0,
            environment: None,
            variables: Vec::new(),
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new step, in plain words.
    pub(crate) fn chapter(&mut self, title: &str, words: &str) {
        self.chapter += 1;
        self.output.line(format_args!("\n── {}. {title}", self.chapter));
        for line in words.lines() {
            self.output.line(format_args!("   {}", line.trim()));
        }
        let _ = writeln!(self.script, "\n# {}. {title}", self.chapter);
    }

    /// Who can see what at this point.
    pub(crate) fn sees(&mut self, who: &str, what: &str) {
        self.output.line(format_args!("   👁 {who}: {what}"));
    }

    /// A sentence in between.
    pub(crate) fn say(&mut self, words: &str) {
        self.output.line(format_args!("   {words}"));
    }

    /// A fact for `--json`.
    pub(crate) fn fact(&mut self, name: &str, value: impl serde::Serialize) {
        self.output.fact(name, value);
    }

    /// Run `entente ARGUMENTS` and give what it printed.
    pub(crate) fn entente(&mut self, arguments: &[&str], show: Show) -> Result<String> {
        let program = self.program.clone();
        self.command("entente", &program, arguments, show)
    }

    /// Run commands with an owner's AWS configuration, as its shell would have it.
    pub(crate) fn as_owner<T>(
        &mut self,
        owner: &str,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.environment = Some(("AWS_CONFIG_FILE", format!("{owner}/keys/owner.aws")));
        let done = work(self);
        self.environment = None;
        done
    }

    /// Show a table of a party's result.
    pub(crate) fn table(&mut self, owner: &str, file: &str) -> Result<()> {
        let path = self.directory.join(owner).join("result").join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
        self.say(&format!("{owner}/result/{file}:"));
        for line in text.lines() {
            self.output.line(format_args!("     {line}"));
        }
        Ok(())
    }

    /// Run `entente ARGUMENTS`, which prints one line, and keep that line as the script's variable `name`.
    pub(crate) fn assign(&mut self, name: &str, arguments: &[&str]) -> Result<String> {
        self.note("entente", arguments, &Note::Assign(name));
        let program = self.program.clone();
        let value = self.output_of("entente", &program, arguments)?.trim_end().to_owned();
        self.output.line(format_args!("     {value}"));
        self.variables.push((value.clone(), name.to_owned()));
        Ok(value)
    }

    /// Run `entente ARGUMENTS` and write what it prints into a file.
    pub(crate) fn redirect(&mut self, arguments: &[&str], file: &str) -> Result<()> {
        self.note("entente", arguments, &Note::Redirect(file));
        let program = self.program.clone();
        let printed = self.output_of("entente", &program, arguments)?;
        fs::write(self.directory.join(file), printed).with_context(|| format!("cannot write {file}"))
    }

    /// A line of the script that this program does itself.
    pub(crate) fn shell(&mut self, line: &str) {
        self.output.line(format_args!("   $ {line}"));
        let _ = writeln!(self.script, "{line}");
    }

    /// Run a stock tool.
    pub(crate) fn stock(&mut self, program: &str, arguments: &[&str], show: Show) -> Result<String> {
        self.command(program, Path::new(program), arguments, show)
    }

    /// Start `entente ARGUMENTS`, a server that prints one JSON line with `url` when it listens, and give that line.
    pub(crate) fn server(&mut self, arguments: &[&str], log: &str) -> Result<Value> {
        self.note("entente", arguments, &Note::Background);
        let log = File::create(self.directory.join(log)).with_context(|| format!("cannot write {log}"))?;
        let mut child = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start a server")?;
        let stdout = child.stdout.take().context("a server has no output")?;
        self.servers.push(Server { child });
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = send.send(lines.next());
            // Whatever else it says is read and dropped, so that it never blocks.
            for _ in lines.by_ref() {}
        });
        match receive.recv_timeout(START) {
            Ok(Some(Ok(line))) => {
                serde_json::from_str(&line).with_context(|| format!("a server said: {line}"))
            }
            _ => bail!(
                "entente {} did not start; see the logs in {}",
                arguments.join(" "),
                self.directory.display()
            ),
        }
    }

    fn command(&mut self, name: &str, program: &Path, arguments: &[&str], show: Show) -> Result<String> {
        self.note(name, arguments, &Note::Plain);
        let printed = self.output_of(name, program, arguments)?;
        if show == Show::Output {
            for line in printed.lines() {
                self.output.line(format_args!("     {line}"));
            }
        }
        Ok(printed)
    }

    fn output_of(&self, name: &str, program: &Path, arguments: &[&str]) -> Result<String> {
        let done = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {name}"))?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("{name} {} ended with {}:\n{printed}{said}", arguments.join(" "), done.status);
        }
        Ok(printed)
    }

    /// Show a command, and write it to the script.
    fn note(&mut self, name: &str, arguments: &[&str], how: &Note<'_>) {
        let environment: String =
            self.environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        let line = format!("{environment}{name} {}", words.join(" "));
        let words: Vec<String> = arguments.iter().map(|word| self.with_variables(word)).collect();
        let written = format!("{environment}{name} {}", words.join(" "));
        let (line, written) = match how {
            Note::Plain => (line, written),
            Note::Background => {
                (format!("{line} &"), format!("{written} &\nservers=\"$servers $!\"\nsleep 2"))
            }
            Note::Assign(variable) => (line, format!("{variable}=$({written})")),
            Note::Redirect(file) => (format!("{line} > {file}"), format!("{written} > {file}")),
        };
        self.output.line(format_args!("   $ {line}"));
        let _ = writeln!(self.script, "{written}");
    }

    /// An argument for the script: what another run would have another value for is a variable.
    fn with_variables(&self, word: &str) -> String {
        match self.variables.iter().find(|(value, _)| word.ends_with(value.as_str())) {
            Some((value, name)) => {
                let before = word.strip_suffix(value.as_str()).unwrap_or_default();
                format!("\"{before}${name}\"")
            }
            None => quoted(word),
        }
    }
}

/// How a command stands in the script.
enum Note<'n> {
    Plain,
    Background,
    Assign(&'n str),
    Redirect(&'n str),
}

/// Whether the output of a command is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Output,
    Nothing,
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
