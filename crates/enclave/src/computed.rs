//! *Computed → Disclosed*: results sealed to their recipients, and the receipt (PROTOCOL §7, §8 and §10.10).

use entente_agreement::{Agreement, Output};
use entente_analysis::{Analysis, Confidential, Outcome};
use entente_attestation::Digest384;
use entente_disclosure::{Released, ReleasedOutput, Results, Verdict as Released_, disclose};
use entente_nsm::Nsm;
use entente_sealing::RunSeed;
use entente_sealing::result::{ArchiveFile, ResultArchive, ResultBinding, Verdict};

use crate::disclosed::{Disclosed, ResultFile};
use crate::refusal::Refusal;
use crate::{Job, evidence};

/// The outcome is there; nobody can look at it.
#[must_use = "a life goes on until it ends"]
pub struct Computed<A> {
    nsm: Nsm,
    job: Job<A>,
    outcome: Confidential<Outcome>,
    seed: RunSeed,
}

impl<A: Analysis> Computed<A> {
    pub(crate) fn new(nsm: Nsm, job: Job<A>, outcome: Confidential<Outcome>, seed: RunSeed) -> Self {
        Self { nsm, job, outcome, seed }
    }

    /// Step 10 of PROTOCOL §10 but for its end: opens the outcome under the rules, seals every output to its recipient, and lets
    /// the hypervisor sign the statement about it.
    ///
    /// Whatever the data are, there are as many files as agreed, each as long as agreed.
    ///
    /// # Errors
    /// [`Refusal::Evidence`] when the receipt's document does not hold, or is made outside of the agreement's window.
    /// [`Refusal::Run`] for a defect.
    pub fn disclose(self) -> Result<Disclosed, Refusal> {
        let Self { mut nsm, job, outcome, seed } = self;
        let agreement: &Agreement = &job.agreement;
        let released: Released<Results> = disclose(agreement, &job.terms, job.analysis.rules(), outcome);
        let mut files = Vec::with_capacity(released.len());
        for (output, result) in job.terms.outputs().iter().zip(released.iter()) {
            files.push(seal(&job, output, result, &seed)?);
        }
        // From here on nothing is secret any more, and the seed that made it so is wiped.
        drop((released, seed));
        if files.len() != job.terms.outputs().len() {
            return Err(Refusal::Run);
        }
        let statement = b"{}".to_vec();
        let input_set = job.inputs.set().digest();
        let document = evidence::receipt_document(
            &mut nsm,
            agreement,
            &job.image,
            &job.anchor,
            input_set,
            Digest384::of(&statement),
        )?;
        Ok(Disclosed::new(files, document))
    }
}

/// One result file: the archive, padded, with a salt that a rerun repeats, sealed to one recipient and nobody else.
fn seal<A>(
    job: &Job<A>,
    output: &Output,
    result: &ReleasedOutput,
    seed: &RunSeed,
) -> Result<ResultFile, Refusal> {
    // `disclose` gives one result for each output, in the agreement's order.
    if result.output() != output.name() || result.recipient() != output.recipient() {
        return Err(Refusal::Run);
    }
    let binding = |verdict| ResultBinding {
        agreement: job.agreement.digest(),
        inputs: job.inputs.set().digest(),
        request: job.request_digest(),
        analysis: job.terms.name().clone(),
        recipient: output.recipient().clone(),
        output: output.name().clone(),
        verdict,
        salt: seed.archive_salt(output.name(), output.recipient()),
    };
    let released = match result.verdict() {
        Released_::Refused => None,
        Released_::Released => {
            let file = |file: &entente_disclosure::ReleasedFile| {
                ArchiveFile::new(file.name(), file.bytes().to_vec())
            };
            let files: Result<Vec<_>, _> = result.files().iter().map(file).collect();
            // What does not fit, though disclosure counted it, is refused like all else that does not fit.
            files
                .and_then(|files| ResultArchive::build(&binding(Verdict::Released), &files, output.bytes()))
                .ok()
        }
    };
    let archive = match released {
        Some(archive) => archive,
        None => {
            ResultArchive::build(&binding(Verdict::Refused), &[], output.bytes()).map_err(|_| Refusal::Run)?
        }
    };
    let recipient = job.agreement.party(output.recipient()).ok_or(Refusal::Run)?;
    let sealed = archive.seal(recipient.result_key()).map_err(|_| Refusal::Run)?;
    Ok(ResultFile { name: output.file_name(), opened: archive.digest(), sealed })
}
