//! What a receipt says it is about, compared with the run and with what was delivered. Whether the receipt is genuine is
//! for its readers to find out, who have the root; a host that kept files that the receipt does not name would only waste
//! their time.

use entente_receipt::Receipt;

use crate::job::Job;
use crate::messages::ResultFacts;

/// The statement must be about this run, and its subjects the outputs in the agreement's order with the digests of the
/// delivered files. The error is a sentence without any of the receipt's own words.
pub(crate) fn compare(receipt: &[u8], job: &Job, files: &[ResultFacts]) -> Result<(), String> {
    // The parser's error may quote the receipt.
    let receipt =
        Receipt::parse(receipt).map_err(|_| "The receipt is not of a receipt's form.".to_owned())?;
    let statement = receipt.statement_unverified();
    let is_of_run = statement.agreement() == job.run.agreement
        && statement.analysis().as_str() == job.run.analysis
        && statement.claimed_input_set() == job.run.inputs
        && statement.request() == job.run.request
        && *statement.image().pcr0() == job.pcr0;
    if !is_of_run {
        return Err("The receipt is about another run.".to_owned());
    }
    let results = statement.results();
    let is_about_outputs = results.len() == job.outputs.len()
        && results.iter().zip(&job.outputs).all(|(result, output)| result.file_name() == output.name);
    if !is_about_outputs {
        return Err("The receipt's subjects are not the analysis's outputs in their order.".to_owned());
    }
    for (result, output) in results.iter().zip(&job.outputs) {
        if !files.iter().any(|file| file.name == output.name && file.digest == result.sealed) {
            return Err(format!("The receipt is about another {} than was delivered.", output.name));
        }
    }
    Ok(())
}
