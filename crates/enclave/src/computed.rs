//! *Computed → Disclosed*: results sealed to their recipients, and the receipt (PROTOCOL §7, §8 and §10.10).

use entente_agreement::{Agreement, Output};
use entente_analysis::{Analysis, Confidential, Outcome};
use entente_attestation::Digest384;
use entente_disclosure::{Released, ReleasedFile, ReleasedOutput, Results, disclose};
use entente_nsm::Nsm;
use entente_receipt::{Receipt, ResultFile, Statement};
use entente_sealing::RunSeed;
use entente_sealing::result::{ArchiveFile, ResultArchive, ResultBinding, Verdict};

use crate::disclosed::{Disclosed, SealedResult};
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
        let mut results = Vec::with_capacity(released.len());
        for (output, result) in job.terms.outputs().iter().zip(released.iter()) {
            results.push(seal(&job, output, result, &seed)?);
        }
        // From here on nothing is secret any more, and the seed that made the outcome so is wiped.
        drop((released, seed));
        if results.len() != job.terms.outputs().len() {
            return Err(Refusal::Run);
        }
        let set = job.inputs.set();
        let files: Vec<ResultFile> = results.iter().map(|result| result.file.clone()).collect();
        let statement = Statement::new(set, job.request_digest(), job.image.measurements(), &files)
            .map_err(|_| Refusal::Run)?;
        let document = evidence::receipt_document(
            &mut nsm,
            agreement,
            &job.image,
            &job.anchor,
            set.digest(),
            statement.user_data(),
        )?;
        let receipt = Receipt::assemble(&statement, &document).map_err(|_| Refusal::Run)?;
        Ok(Disclosed::new(results, receipt))
    }
}

/// One result file: the archive, padded, with a salt that a rerun repeats, sealed to one recipient and nobody else.
fn seal<A>(
    job: &Job<A>,
    output: &Output,
    result: &ReleasedOutput,
    seed: &RunSeed,
) -> Result<SealedResult, Refusal> {
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
        entente_disclosure::Verdict::Refused => None,
        entente_disclosure::Verdict::Released => {
            let file = |file: &ReleasedFile| ArchiveFile::new(file.name(), file.bytes().to_vec());
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
    let file = ResultFile {
        output: output.name().clone(),
        recipient: output.recipient().clone(),
        sealed: Digest384::of(&sealed),
        opened: archive.digest(),
    };
    Ok(SealedResult { file, bytes: sealed })
}
