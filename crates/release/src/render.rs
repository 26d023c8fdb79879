//! The key policy that releases a dataset's key to exactly what an agreement and an input set say (PROTOCOL.md §5).

use entente_agreement::{Agreement, Image, InputSet, Name};
use entente_attestation::{Digest384, UnixTime, pcr16_for, pcr17_for};

use crate::policy::{KeyPolicy, MAX_POLICY, PrincipalArn, Statement};

pub(crate) const PCR16: &str = "kms:RecipientAttestation:PCR16";
pub(crate) const PCR17: &str = "kms:RecipientAttestation:PCR17";

/// Why no statement can be made, or none put into a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The input set is of another agreement.
    #[error("the input set belongs to agreement {found}, not to {expected}")]
    OtherAgreement {
        /// Digest of the agreement given.
        expected: Digest384,
        /// Digest in the input set.
        found: Digest384,
    },
    /// The agreement has no such analysis.
    #[error("the agreement has no analysis {0:?}", .analysis.as_str())]
    UnknownAnalysis {
        /// The analysis in the input set.
        analysis: Name,
    },
    /// The round is not one that the agreement allows.
    #[error("round {round}; the agreement allows {rounds}")]
    Round {
        /// In the input set.
        round: u32,
        /// In the agreement.
        rounds: u32,
    },
    /// The analysis does not read the dataset.
    #[error("the analysis does not read the dataset {0:?}", .dataset.as_str())]
    UnknownDataset {
        /// The dataset asked for.
        dataset: Name,
    },
    /// The dataset is absent from this input set: there is no key to release.
    #[error("the dataset {0:?} is absent from this input set", .dataset.as_str())]
    AbsentDataset {
        /// The dataset asked for.
        dataset: Name,
    },
    /// An account as host: a statement for an account lets everybody in whom its administrators choose.
    #[error("{host} is an account; name the host's role or user")]
    HostIsAccount {
        /// The host given.
        host: PrincipalArn,
    },
    /// The round is used: another input set is installed for it.
    #[error("another input set is installed for this round: PCR17 {register}")]
    RoundTaken {
        /// PCR17 in the policy, as written there.
        register: String,
    },
    /// The policy would be larger than AWS KMS takes: remove rounds that are over.
    #[error("the policy would have {length} bytes; at most 32768 are allowed: remove rounds that are over")]
    TooLong {
        /// Bytes.
        length: usize,
    },
    /// The statement cannot be said in the policy language.
    #[error("the statement cannot be written: {0}")]
    Policy(#[from] crate::policy::PolicyFault),
}

/// One release: this dataset's key, to enclaves of this image, under this agreement, for this input set, asked for by this host, until the
/// agreement ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    agreement: Digest384,
    inputs: Digest384,
    analysis: Name,
    round: u32,
    dataset: Name,
    statement: Statement,
}

impl Release {
    /// Reads the release out of an agreement and an input set, for one dataset. `host` is the principal whose credentials the host's requests
    /// are signed with.
    ///
    /// # Errors
    /// [`RenderError`] if the three do not belong together.
    pub fn of(
        agreement: &Agreement,
        inputs: &InputSet,
        dataset: &Name,
        host: &PrincipalArn,
    ) -> Result<Self, RenderError> {
        if inputs.agreement() != agreement.digest() {
            return Err(RenderError::OtherAgreement {
                expected: agreement.digest(),
                found: inputs.agreement(),
            });
        }
        if host.is_account_root() {
            return Err(RenderError::HostIsAccount { host: host.clone() });
        }
        let analysis = agreement
            .analysis(inputs.analysis())
            .ok_or_else(|| RenderError::UnknownAnalysis { analysis: inputs.analysis().clone() })?;
        if !(1..=analysis.rounds()).contains(&inputs.round()) {
            return Err(RenderError::Round { round: inputs.round(), rounds: analysis.rounds() });
        }
        let unknown = || RenderError::UnknownDataset { dataset: dataset.clone() };
        let entry = inputs.dataset(dataset).ok_or_else(unknown)?;
        if !analysis.datasets().contains(dataset) {
            return Err(unknown());
        }
        if entry.manifest().is_none() {
            return Err(RenderError::AbsentDataset { dataset: dataset.clone() });
        }
        let image = agreement
            .image(analysis.image())
            .ok_or_else(|| RenderError::UnknownAnalysis { analysis: analysis.name().clone() })?;
        let sid = sid(dataset, analysis.name(), inputs.round(), &agreement.digest());
        let statement = Statement::allow_if(
            &sid,
            host,
            "kms:Decrypt",
            &conditions(agreement, inputs, dataset, image, agreement.window().not_after()),
        )?;
        Ok(Self {
            agreement: agreement.digest(),
            inputs: inputs.digest(),
            analysis: analysis.name().clone(),
            round: inputs.round(),
            dataset: dataset.clone(),
            statement,
        })
    }

    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The dataset whose key is released.
    #[must_use]
    pub const fn dataset(&self) -> &Name {
        &self.dataset
    }
}

/// PROTOCOL.md §5: all of these, single values only, because lists match crosswise.
fn conditions(
    agreement: &Agreement,
    inputs: &InputSet,
    dataset: &Name,
    image: &Image,
    not_after: UnixTime,
) -> Vec<(&'static str, String, String)> {
    let measurements = image.measurements();
    let mut registers = vec![
        ("ImageSha384", *measurements.pcr0()),
        ("PCR0", *measurements.pcr0()),
        ("PCR1", *measurements.pcr1()),
        ("PCR2", *measurements.pcr2()),
    ];
    for (name, value) in [("PCR3", image.pcr3()), ("PCR4", image.pcr4()), ("PCR8", image.pcr8())] {
        registers.extend(value.map(|value| (name, value)));
    }
    registers.push(("PCR16", pcr16_for(&agreement.digest())));
    registers.push(("PCR17", pcr17_for(&inputs.digest())));
    let mut conditions: Vec<_> = registers
        .into_iter()
        .map(|(name, value)| {
            ("StringEqualsIgnoreCase", format!("kms:RecipientAttestation:{name}"), value.to_string())
        })
        .collect();
    for (name, value) in
        [("entente-agreement", agreement.digest().to_string()), ("entente-dataset", dataset.to_string())]
    {
        conditions.push(("StringEquals", format!("kms:EncryptionContext:{name}"), value));
    }
    conditions.push(("DateLessThan", "aws:CurrentTime".to_owned(), not_after.to_string()));
    conditions
}

/// Names a release in letters, digits and spaces, which is what AWS documents for a `Sid` in a key policy. A hyphen becomes `X`: names have
/// no capitals, so that it can be read back.
fn sid(dataset: &Name, analysis: &Name, round: u32, agreement: &Digest384) -> String {
    let word = |name: &Name| name.as_str().replace('-', "X");
    let agreement: String = agreement.to_string().chars().take(16).collect();
    format!("Entente releases {} to {} round {round} of {agreement}", word(dataset), word(analysis))
}

/// What a `Sid` of ours says about the analysis and round; a hint, since anybody who may write the policy may write it.
fn read_sid(sid: &str) -> Option<(String, u32)> {
    let words: Vec<&str> = sid.split(' ').collect();
    match words.as_slice() {
        ["Entente", "releases", _, "to", analysis, "round", round, "of", _] => {
            Some((analysis.replace('X', "-"), round.parse().ok()?))
        }
        _ => None,
    }
}

/// Whether a round is still free at this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundState {
    /// No input set is installed for it.
    Free,
    /// This input set is.
    Installed,
    /// Another one is, or one that cannot be told apart from another one for this round.
    Taken {
        /// PCR17 in the policy, as written there.
        register: String,
    },
}

impl KeyPolicy {
    /// The policy of a key before any input set is signed: the owner may do everything, nobody else anything.
    ///
    /// # Errors
    /// [`RenderError::Policy`], which no principal is known to cause.
    pub fn for_owner(owner: &PrincipalArn) -> Result<Self, RenderError> {
        Ok(Self::of_statements(vec![Statement::allow_if("Entente owner", owner, "kms:*", &[])?]))
    }

    /// This policy with one more release: what an owner installs after it signed an input set. A release that is there already is not
    /// repeated.
    ///
    /// # Errors
    /// [`RenderError::RoundTaken`] if another input set is installed for the round (PROTOCOL.md §3: one set per agreement, analysis and
    /// round, ever); [`RenderError::TooLong`] if it does not fit.
    pub fn with_release(&self, release: &Release) -> Result<Self, RenderError> {
        let state = self.state_of(&release.agreement, &release.inputs, &release.analysis, release.round);
        if let RoundState::Taken { register } = state {
            return Err(RenderError::RoundTaken { register });
        }
        let mut statements = self.statements().to_vec();
        if !statements.iter().any(|statement| statement.same_rule(&release.statement)) {
            statements.push(release.statement.clone());
        }
        let policy = self.replace_statements(statements);
        let length = policy.to_json().len();
        if length > MAX_POLICY { Err(RenderError::TooLong { length }) } else { Ok(policy) }
    }

    /// Whether the round of `inputs` is used at this key (PROTOCOL.md §11 step 11): asked of the policy itself, because a journal can be
    /// restored from a backup.
    ///
    /// A statement that fixes PCR17 counts unless it is certain that it is of another agreement, analysis or round.
    #[must_use]
    pub fn round_state(&self, inputs: &InputSet) -> RoundState {
        self.state_of(&inputs.agreement(), &inputs.digest(), inputs.analysis(), inputs.round())
    }

    fn state_of(&self, agreement: &Digest384, inputs: &Digest384, analysis: &Name, round: u32) -> RoundState {
        let wanted = pcr17_for(inputs).to_string();
        let mut state = RoundState::Free;
        for statement in self.statements() {
            if !names_agreement(statement, agreement) {
                continue;
            }
            // Our own Sids tell rounds apart; other statements of the same agreement are not trusted to be of another round.
            if let Some((other_analysis, other_round)) = statement.sid().and_then(read_sid)
                && (other_analysis != analysis.as_str() || other_round != round)
            {
                continue;
            }
            for value in statement.condition_values(PCR17) {
                if value.eq_ignore_ascii_case(&wanted) {
                    state = RoundState::Installed;
                } else {
                    return RoundState::Taken { register: value.to_owned() };
                }
            }
        }
        state
    }

    /// This policy without the releases of one round: revokes an input set. A running enclave is not recalled.
    #[must_use]
    pub fn without_round(&self, inputs: &InputSet) -> Self {
        let register = pcr17_for(&inputs.digest()).to_string();
        self.without(|statement| {
            statement.condition_values(PCR17).any(|value| value.eq_ignore_ascii_case(&register))
        })
    }

    /// This policy without any release under an agreement.
    #[must_use]
    pub fn without_agreement(&self, agreement: &Digest384) -> Self {
        let register = pcr16_for(agreement).to_string();
        self.without(|statement| {
            statement.condition_values(PCR16).any(|value| value.eq_ignore_ascii_case(&register))
        })
    }

    /// Only Allow statements are removed: without a Deny statement more could be allowed.
    fn without(&self, removed: impl Fn(&Statement) -> bool) -> Self {
        let kept = self
            .statements()
            .iter()
            .filter(|statement| statement.effect() == crate::policy::Effect::Deny || !removed(statement))
            .cloned()
            .collect();
        self.replace_statements(kept)
    }
}

/// Whether a statement is, or may be, about this agreement.
fn names_agreement(statement: &Statement, agreement: &Digest384) -> bool {
    let register = pcr16_for(agreement).to_string();
    let mut named = statement.condition_values(PCR16).peekable();
    named.peek().is_none() || named.any(|value| value.eq_ignore_ascii_case(&register))
}

/// The whole policy of a dataset's key: owner and one release.
///
/// # Errors
/// [`RenderError`] if agreement, input set and dataset do not belong together.
pub fn render(
    agreement: &Agreement,
    inputs: &InputSet,
    dataset: &Name,
    owner: &PrincipalArn,
    host: &PrincipalArn,
) -> Result<KeyPolicy, RenderError> {
    KeyPolicy::for_owner(owner)?.with_release(&Release::of(agreement, inputs, dataset, host)?)
}
