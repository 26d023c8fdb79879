//! What this party did, in an append-only file: one JSON object a line, each written and synced before the act that it tells of.
//!
//! The journal is why an owner signs one input set per agreement, analysis and round, ever (PROTOCOL §3). A torn last line is an
//! act that did not happen: it is cut off. Anything else that is not understood stops all signing.

use crate::files::{self, FileError};
use entente_agreement::Name;
use entente_attestation::{Digest384, UnixTime};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Largest journal: 64 MiB hold some 200,000 acts.
const JOURNAL_LIMIT: u64 = 64 << 20;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Signed an agreement.
    Approved {
        /// Digest of the agreement.
        agreement: Digest384,
    },
    /// Sealed a dataset and signed its manifest.
    Sealed {
        /// Digest of the agreement.
        agreement: Digest384,
        /// The dataset.
        dataset: Name,
        /// Digest of the manifest.
        manifest: Digest384,
    },
    /// Is about to sign, or signed, an input set.
    Authorized {
        /// Digest of the agreement.
        agreement: Digest384,
        /// The analysis.
        analysis: Name,
        /// The round, from 1.
        round: u32,
        /// Digest of the input set.
        inputs: Digest384,
    },
    /// Removed the release of an input set from its key policies.
    Revoked {
        /// Digest of the input set.
        inputs: Digest384,
    },
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time: String,
    act: LineAct,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum LineAct {
    Approved { agreement: String },
    Sealed { agreement: String, dataset: String, manifest: String },
    Authorized { agreement: String, analysis: String, round: u32, inputs: String },
    Revoked { inputs: String },
}

/// An act and when it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by this machine's clock.
    pub time: UnixTime,
    /// What.
    pub act: Act,
}

/// The journal, locked against other processes while it is open.
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Journal {
    /// Opens and locks the journal, waiting for another process that has it open.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; then nothing may be signed.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let mut file = files::append(path)?;
        let fail = |error| FileError { path: path.to_owned(), error };
        flock(&file, FlockOperation::LockExclusive).map_err(|error| fail(error.into()))?;
        let mut text = Vec::new();
        (&file).take(JOURNAL_LIMIT + 1).read_to_end(&mut text).map_err(fail)?;
        if text.len() as u64 > JOURNAL_LIMIT {
            return Err(JournalError::TooLarge { path: path.to_owned() });
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            // Torn by a crash: synced only as a whole line, so nothing was done on its word.
            file.set_len(whole as u64).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        let entries = text[..whole]
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.is_empty())
            .enumerate()
            .map(|(index, line)| {
                read_line(line)
                    .ok_or_else(|| JournalError::NotUnderstood { path: path.to_owned(), line: index + 1 })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let lines = text[..whole].iter().filter(|byte| **byte == b'\n').count();
        if entries.len() != lines {
            return Err(JournalError::NotUnderstood { path: path.to_owned(), line: entries.len() + 1 });
        }
        files::sync_directory(files::directory_of(path))?;
        Ok(Self { path: path.to_owned(), file, entries })
    }

    /// All acts, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes an act down; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the act must not be done then.
    pub fn record(&mut self, time: UnixTime, act: Act) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(&Line { time: time.to_string(), act: LineAct::from(&act) })
            .unwrap_or_default();
        line.push(b'\n');
        let fail = FileError::at(&self.path);
        self.file.write_all(&line).and_then(|()| self.file.sync_all()).map_err(fail)?;
        self.entries.push(Entry { time, act });
        Ok(())
    }

    /// Whether this party signed the agreement.
    #[must_use]
    pub fn approved(&self, agreement: &Digest384) -> bool {
        self.entries.iter().any(|entry| entry.act == Act::Approved { agreement: *agreement })
    }

    /// Whether this party made the manifest.
    #[must_use]
    pub fn sealed(&self, manifest: &Digest384) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(&entry.act, Act::Sealed { manifest: made, .. } if made == manifest))
    }

    /// The input set that this party signed, or was about to sign, for a round.
    #[must_use]
    pub fn authorized(&self, agreement: &Digest384, analysis: &Name, round: u32) -> Option<Digest384> {
        self.entries.iter().find_map(|entry| match &entry.act {
            Act::Authorized { agreement: a, analysis: n, round: r, inputs }
                if a == agreement && n == analysis && *r == round =>
            {
                Some(*inputs)
            }
            _ => None,
        })
    }
}

impl From<&Act> for LineAct {
    fn from(act: &Act) -> Self {
        match act {
            Act::Approved { agreement } => Self::Approved { agreement: agreement.to_string() },
            Act::Sealed { agreement, dataset, manifest } => Self::Sealed {
                agreement: agreement.to_string(),
                dataset: dataset.to_string(),
                manifest: manifest.to_string(),
            },
            Act::Authorized { agreement, analysis, round, inputs } => Self::Authorized {
                agreement: agreement.to_string(),
                analysis: analysis.to_string(),
                round: *round,
                inputs: inputs.to_string(),
            },
            Act::Revoked { inputs } => Self::Revoked { inputs: inputs.to_string() },
        }
    }
}

fn read_line(line: &[u8]) -> Option<Entry> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let act = match line.act {
        LineAct::Approved { agreement } => Act::Approved { agreement: agreement.parse().ok()? },
        LineAct::Sealed { agreement, dataset, manifest } => Act::Sealed {
            agreement: agreement.parse().ok()?,
            dataset: dataset.parse().ok()?,
            manifest: manifest.parse().ok()?,
        },
        LineAct::Authorized { agreement, analysis, round, inputs } => Act::Authorized {
            agreement: agreement.parse().ok()?,
            analysis: analysis.parse().ok()?,
            round,
            inputs: inputs.parse().ok()?,
        },
        LineAct::Revoked { inputs } => Act::Revoked { inputs: inputs.parse().ok()? },
    };
    Some(Entry { time: UnixTime::parse_rfc3339(&line.time).ok()?, act })
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Larger than any honest journal.
    #[error("{}: larger than 64 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line that this program did not write.
    #[error("{}, line {line}: not understood; nothing will be signed with this journal", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn act(round: u32) -> Act {
        Act::Authorized {
            agreement: Digest384::of(b"a"),
            analysis: "auction".parse().unwrap(),
            round,
            inputs: Digest384::of(b"i"),
        }
    }

    #[test]
    fn acts_survive_and_a_torn_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let time = UnixTime::from_secs(1_800_000_000);
        let mut journal = Journal::open(&path).unwrap();
        journal.record(time, act(1)).unwrap();
        journal.record(time, act(2)).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in first..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.entries(), [Entry { time, act: act(1) }]);
            assert_eq!(journal.authorized(&Digest384::of(b"a"), &"auction".parse().unwrap(), 2), None);
            journal.record(time, act(3)).unwrap();
            drop(journal);
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.entries().len(), 2);
            assert_eq!(
                journal.authorized(&Digest384::of(b"a"), &"auction".parse().unwrap(), 3),
                Some(Digest384::of(b"i"))
            );
        }
    }

    #[test]
    fn what_is_not_understood_stops_everything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        for (text, line) in [
            ("{}\n", 1),
            ("\n", 1),
            ("{\"time\":\"2026-01-01T00:00:00Z\",\"act\":{\"revoked\":{\"inputs\":\"00\"}}}\n", 1),
            ("{\"time\":\"2026-01-01T00:00:00Z\",\"act\":{\"dreamt\":{}}}\n", 1),
            ("\u{0}\n", 1),
        ] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(Journal::open(&path), Err(JournalError::NotUnderstood { line: found, .. }) if found == line),
                "{text}"
            );
        }
    }
}
