//! `entente party`: be a party.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use entente_agreement::{Name, SignKey};
use entente_party::{Home, SignKeySource};
use serde::Deserialize;

use super::files;
use crate::output::{Misuse, Output, Verdict};

/// What is read of a card, in bytes.
const CARD_LIMIT: u64 = 64 << 10;

/// Be a party: keys, and whom you know.
#[derive(Subcommand)]
pub(crate) enum Party {
    /// Make a party's directory: a signing key, a result key, the list of parties whose keys you know, a journal
    ///
    /// Example: entente party init north --home north
    Init {
        /// The party's name, as agreements will have it
        name: Name,
        /// Where to make it
        #[arg(long)]
        home: PathBuf,
        /// Sign with this OpenSSH private key instead of a new one
        #[arg(long, value_name = "FILE")]
        sign_key: Option<PathBuf>,
    },
    /// Print this party's block for agreements, to be sent to the others
    ///
    /// Example: entente party show --home north > north.card
    Show {
        /// The party's directory
        #[arg(long)]
        home: PathBuf,
    },
    /// Enter the signing key of another party, after comparing its fingerprint by another road
    ///
    /// Example: entente party trust harbour harbour.card --home north
    Trust {
        /// The other party's name
        name: Name,
        /// Its card, or an OpenSSH public key file
        key: PathBuf,
        /// This party's directory
        #[arg(long)]
        home: PathBuf,
    },
}

impl Party {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Init { name, home, sign_key } => {
                let source = sign_key.map_or(SignKeySource::Generate, SignKeySource::Existing);
                let made = Home::init(&home, &name, &source)?;
                output.line(format_args!("made {}: the directory of {name}", home.display()));
                output.line(format_args!("signing key {}", made.sign_key().fingerprint()));
                output.line(format_args!("result key  {}", made.result_key()));
                facts(&made, output);
            }
            Self::Show { home } => {
                let home = Home::open(&home)?;
                output.line(home.party_block().trim_end());
                facts(&home, output);
            }
            Self::Trust { name, key, home } => {
                let key = read_key(&name, &key)?;
                Home::open(&home)?.trust(&name, &key)?;
                output.line(format_args!("{name} is known as {}", key.fingerprint()));
                output.line("compare this fingerprint with them by another road: whoever gives you a false one can pose as them");
                output.fact("name", name.to_string());
                output.fact("fingerprint", key.fingerprint());
            }
        }
        Ok(Verdict::Good)
    }
}

fn facts(home: &Home, output: &mut Output) {
    output.fact("name", home.name().to_string());
    output.fact("sign_key", home.sign_key().to_openssh());
    output.fact("fingerprint", home.sign_key().fingerprint());
    output.fact("result_key", home.result_key());
}

/// A party's block in a file of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardFile {
    party: Vec<CardBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardBlock {
    name: String,
    sign_key: String,
    result_key: String,
}

/// What a party tells others of itself.
pub(crate) struct Card {
    pub(crate) name: Name,
    pub(crate) sign_key: SignKey,
    pub(crate) result_key: String,
}

/// Read a card: one `[[party]]` block, as `party show` prints it.
pub(crate) fn read_card(path: &Path) -> Result<Card> {
    let text =
        String::from_utf8(files::read(path, CARD_LIMIT)?).map_err(|_| not_a_card(path, "it is not text"))?;
    let file: CardFile = toml::from_str(&text).map_err(|error| not_a_card(path, error.message()))?;
    let [block] = <[CardBlock; 1]>::try_from(file.party)
        .map_err(|_| not_a_card(path, "it has not exactly one block"))?;
    // Long keys are folded over several lines.
    let key: String = block.sign_key.split('\n').collect();
    Ok(Card {
        name: block.name.parse().with_context(|| path.display().to_string())?,
        sign_key: SignKey::from_openssh(&key).with_context(|| path.display().to_string())?,
        result_key: block.result_key,
    })
}

fn not_a_card(path: &Path, why: &str) -> Misuse {
    Misuse(format!("{} is not what `entente party show` prints: {why}", path.display()))
}

fn read_key(name: &Name, path: &Path) -> Result<SignKey> {
    let bytes = files::read(path, CARD_LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    let key = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-"));
    if let Some(key) = key {
        return SignKey::from_openssh(key).with_context(|| path.display().to_string());
    }
    let card = read_card(path)?;
    if card.name != *name {
        return Err(Misuse(format!("{} is the card of {}, not of {name}", path.display(), card.name)).into());
    }
    Ok(card.sign_key)
}
