//! The two sides, each a process that takes a turn when it is told to and says how long that took.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// One side's process.
pub(crate) struct Side {
    process: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Side {
    pub(crate) fn ours(directory: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("this program's path")?;
        Self::start(Command::new(program).arg("ours").arg(directory))
    }

    pub(crate) fn duckdb(python: &OsStr, directory: &Path) -> Result<Self> {
        Self::start(Command::new(python).args(["-c", include_str!("duckdb.py")]).arg(directory))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start a side")?;
        let ask = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("no output")?);
        Ok(Self { process, ask, answers })
    }

    /// Has it answer once; returns seconds.
    pub(crate) fn turn(&mut self) -> Result<f64> {
        let ask = self.ask.as_mut().context("it has ended")?;
        ask.write_all(b"turn\n").context("a side does not listen")?;
        ask.flush().context("a side does not listen")?;
        self.line()?.parse().context("not a number of seconds")
    }

    /// Ends it; returns the most memory that it had, in MiB.
    pub(crate) fn end(mut self) -> Result<f64> {
        self.ask = None;
        let kib: f64 = self.line()?.parse().context("not a size of memory")?;
        let status = self.process.wait().context("wait")?;
        ensure!(status.success(), "a side failed");
        Ok(kib / 1024.0)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("a side does not answer")?;
        ensure!(!line.is_empty(), "a side ended without an answer: its error is above");
        Ok(line.trim().to_owned())
    }
}

/// The middle one.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Time, time for a row, memory.
pub(crate) fn figures(seconds: f64, rows: u32, mib: f64) -> String {
    format!("{:>7.1} ms {:>5.0} ns {mib:>5.0} MiB", seconds * 1e3, seconds * 1e9 / f64::from(rows))
}
