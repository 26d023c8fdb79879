//! What a receipt says it is about, compared with what was delivered. Whether the receipt is genuine is for its readers
//! to find out; a host that keeps files that the receipt does not name would only waste their time.

use base64::Engine as _;
use serde::Deserialize;

use crate::job::JobOutput;
use crate::messages::ResultFacts;

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
struct Statement {
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha384: String,
}

/// The subjects must be the outputs in the agreement's order, with the digests of the delivered files. The error is a
/// sentence without any of the receipt's own words.
pub(crate) fn compare(receipt: &[u8], outputs: &[JobOutput], files: &[ResultFacts]) -> Result<(), String> {
    let unreadable = || "The receipt is no DSSE envelope around an in-toto Statement.".to_owned();
    let envelope: Envelope = serde_json::from_slice(receipt).map_err(|_| unreadable())?;
    let payload =
        base64::engine::general_purpose::STANDARD.decode(envelope.payload).map_err(|_| unreadable())?;
    let statement: Statement = serde_json::from_slice(&payload).map_err(|_| unreadable())?;
    let names = statement.subject.iter().map(|subject| subject.name.as_str());
    if !names.eq(outputs.iter().map(|output| output.name.as_str())) {
        return Err("The receipt's subjects are not the analysis's outputs in their order.".to_owned());
    }
    for subject in &statement.subject {
        let delivered = files.iter().find(|file| file.name == subject.name);
        if delivered.is_none_or(|file| file.digest.to_string() != subject.digest.sha384) {
            return Err(format!(
                "The receipt is about another {} than was delivered.",
                subject_name(outputs, subject)
            ));
        }
    }
    Ok(())
}

/// The name from the agreement, equal to the subject's.
fn subject_name<'a>(outputs: &'a [JobOutput], subject: &Subject) -> &'a str {
    outputs.iter().find(|output| output.name == subject.name).map_or("file", |output| &output.name)
}
