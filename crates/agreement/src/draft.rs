//! Writing agreements.

use entente_attestation::{Digest384, Measurements, UnixTime};

use crate::agreement::{Agreement, Root, Serial};
use crate::analysis::{Authorize, Output};
use crate::dataset::{Column, Format, Padding, Presence};
use crate::key_arn::KeyArn;
use crate::name::Name;
use crate::render::Text;
use crate::sign_key::SignKey;
use crate::table::Table;
use crate::text::TextError;

/// The terms of an agreement to be written. Plain data; [`AgreementDraft::render`] checks it.
///
/// ```
/// # use entente_agreement::*;
/// # use entente_attestation::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key: SignKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".parse()?;
/// # let (pcr0, pcr1, pcr2) = (Digest384::of(b"0"), Digest384::of(b"1"), Digest384::of(b"2"));
/// let ada: Name = "ada".parse()?;
/// let mut parameters = Table::new();
/// parameters.insert("query", Value::Text("SELECT count(*) FROM visits".to_owned()))?;
/// let draft = AgreementDraft {
///     serial: Serial::from_bytes([7; 16]),
///     supersedes: None,
///     not_before: UnixTime::parse_rfc3339("2026-11-01T00:00:00Z")?,
///     not_after: UnixTime::parse_rfc3339("2026-12-01T00:00:00Z")?,
///     root: Root::AwsNitro,
///     parties: vec![PartyDraft {
///         name: ada.clone(),
///         sign_key: key,
///         result_key: "age1q549qae6erv3wuljmjtx9cf0phh7j90yzku2rj8zpfdr664jhppsrj44kg".to_owned(),
///     }],
///     images: vec![ImageDraft {
///         name: "count".parse()?,
///         measurements: Measurements::new(pcr0, pcr1, pcr2)?,
///         pcr3: None,
///         pcr4: None,
///         pcr8: None,
///     }],
///     datasets: vec![DatasetDraft {
///         name: "visits".parse()?,
///         owner: ada.clone(),
///         format: Format::Parquet,
///         schema: vec!["day date".parse()?, "visitor text(64) null".parse()?],
///         max_bytes: 1 << 20,
///         max_rows: 1000,
///         padding: Padding::ToMaximum,
///         presence: Presence::Required,
///         key: "arn:aws:kms:eu-central-1:111122223333:key/0b6f7f5c".parse()?,
///     }],
///     analyses: vec![AnalysisDraft {
///         name: "count".parse()?,
///         image: "count".parse()?,
///         datasets: vec!["visits".parse()?],
///         authorize: Authorize::Inputs,
///         runners: vec![ada.clone()],
///         rounds: 1,
///         memory_mib: 256,
///         parameters,
///         disclosure: Table::new(),
///         outputs: vec![OutputDraft { recipient: ada, name: "count".parse()?, bytes: 4096 }],
///     }],
/// };
/// let agreement = draft.render()?;
/// assert!(agreement.bytes().starts_with(b"type = \"entente/agreement/v1\"\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementDraft {
    /// 16 random bytes.
    pub serial: Serial,
    /// The agreement that this one replaces.
    pub supersedes: Option<Digest384>,
    /// The first moment of the window.
    pub not_before: UnixTime,
    /// The first moment after the window.
    pub not_after: UnixTime,
    /// Whose attestation documents count.
    pub root: Root,
    /// The parties.
    pub parties: Vec<PartyDraft>,
    /// The images.
    pub images: Vec<ImageDraft>,
    /// The datasets.
    pub datasets: Vec<DatasetDraft>,
    /// The analyses.
    pub analyses: Vec<AnalysisDraft>,
}

/// A party to be written into an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyDraft {
    /// Its name.
    pub name: Name,
    /// The key that it signs with.
    pub sign_key: SignKey,
    /// The age recipient of its results.
    pub result_key: String,
}

/// An image to be written into an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDraft {
    /// Its name.
    pub name: Name,
    /// PCR0, PCR1 and PCR2.
    pub measurements: Measurements,
    /// PCR3, if it is to be named.
    pub pcr3: Option<Digest384>,
    /// PCR4, if it is to be named.
    pub pcr4: Option<Digest384>,
    /// PCR8, if it is to be named.
    pub pcr8: Option<Digest384>,
}

/// A dataset to be written into an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetDraft {
    /// Its name.
    pub name: Name,
    /// The party that puts it in.
    pub owner: Name,
    /// How it is sealed.
    pub format: Format,
    /// Its columns; none for [`Format::Age`].
    pub schema: Vec<Column>,
    /// The most bytes of the sealed file.
    pub max_bytes: u64,
    /// The most rows; 0 for [`Format::Age`].
    pub max_rows: u64,
    /// Whether its size is hidden.
    pub padding: Padding,
    /// Whether it may be left out.
    pub presence: Presence,
    /// The KMS key that wraps its key.
    pub key: KeyArn,
}

/// An analysis to be written into an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisDraft {
    /// Its name.
    pub name: Name,
    /// The image that runs it.
    pub image: Name,
    /// The datasets that it reads.
    pub datasets: Vec<Name>,
    /// What owners sign.
    pub authorize: Authorize,
    /// Who may have it run.
    pub runners: Vec<Name>,
    /// How many input sets there may be.
    pub rounds: u32,
    /// The memory that the enclave must have, in MiB.
    pub memory_mib: u32,
    /// What the analysis is told.
    pub parameters: Table,
    /// What may be disclosed.
    pub disclosure: Table,
    /// The results.
    pub outputs: Vec<OutputDraft>,
}

/// An output to be written into an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputDraft {
    /// Who gets it.
    pub recipient: Name,
    /// Its name.
    pub name: Name,
    /// The size of its archive, a multiple of [`Output::BLOCK_BYTES`].
    pub bytes: u64,
}

impl From<&Output> for OutputDraft {
    fn from(output: &Output) -> Self {
        Self { recipient: output.recipient().clone(), name: output.name().clone(), bytes: output.bytes() }
    }
}

impl AgreementDraft {
    /// Writes the agreement, with comments for those who read the file, and reads it again.
    ///
    /// # Errors
    /// The first rule that it breaks. The place is in the text that was written, which is not returned.
    pub fn render(&self) -> Result<Agreement, TextError> {
        Agreement::parse(&self.text()?)
    }

    fn text(&self) -> Result<Vec<u8>, TextError> {
        let mut text = Text::new(Agreement::TYPE);
        text.comment("Read it with `entente agreement show`: who will learn what from whom. Comments like this mean nothing.");
        text.blank();
        text.comment("A random number: equal terms agreed twice are two agreements.");
        text.word("serial", self.serial);
        text.comment("The SHA-384 of the agreement that this one replaces, if any.");
        match self.supersedes {
            Some(digest) => text.word("supersedes", digest),
            None => text.word("supersedes", ""),
        }
        text.comment("The only time in which runs may start and receipts be made.");
        text.word("not_before", self.not_before);
        text.word("not_after", self.not_after);
        match self.root {
            Root::AwsNitro => text.comment("Only enclaves attested by AWS Nitro get data."),
            Root::Simulated { .. } => {
                text.comment("SIMULATED: enclaves attested by this test CA get data. Nothing hides it from who runs the machine.");
            }
        }
        text.word("root", self.root);
        text.blank();
        text.comment("The parties. Compare each key with its party by another road before you sign.");
        for party in &self.parties {
            text.block("party");
            text.word("name", &party.name);
            text.folded("sign_key", &party.sign_key.to_openssh());
            text.word("result_key", &party.result_key);
        }
        text.blank();
        text.comment("The enclave images. Build them yourself and compare the measurements.");
        for image in &self.images {
            write_image(&mut text, image);
        }
        text.blank();
        text.comment("What each party puts in, and the KMS key that decides who can open it.");
        for dataset in &self.datasets {
            write_dataset(&mut text, dataset)?;
        }
        text.blank();
        text.comment("What may be computed, by which image, and who gets which result.");
        for analysis in &self.analyses {
            write_analysis(&mut text, analysis)?;
        }
        Ok(text.finish())
    }
}

fn write_image(text: &mut Text, image: &ImageDraft) {
    text.block("image");
    text.word("name", &image.name);
    text.word("pcr0", image.measurements.pcr0());
    text.word("pcr1", image.measurements.pcr1());
    text.word("pcr2", image.measurements.pcr2());
    for (key, value) in [("pcr3", image.pcr3), ("pcr4", image.pcr4), ("pcr8", image.pcr8)] {
        if let Some(value) = value {
            text.word(key, value);
        }
    }
}

fn write_dataset(text: &mut Text, dataset: &DatasetDraft) -> Result<(), TextError> {
    text.block("dataset");
    text.word("name", &dataset.name);
    text.word("owner", &dataset.owner);
    text.word("format", dataset.format);
    let columns: Vec<String> = dataset.schema.iter().map(Column::to_string).collect();
    text.words("schema", &columns)?;
    text.number("max_bytes", dataset.max_bytes);
    text.number("max_rows", dataset.max_rows);
    text.flag("pad", dataset.padding == Padding::ToMaximum);
    text.flag("optional", dataset.presence == Presence::Optional);
    text.word("key", &dataset.key);
    Ok(())
}

fn write_analysis(text: &mut Text, analysis: &AnalysisDraft) -> Result<(), TextError> {
    text.block("analysis");
    text.word("name", &analysis.name);
    text.word("image", &analysis.image);
    text.words("datasets", &analysis.datasets)?;
    match analysis.authorize {
        Authorize::Inputs => {
            text.comment("Owners sign one input set a round; it can be run any number of times, with the same results.");
        }
        Authorize::Request => text.comment("Owners sign one input set a round, and every single request."),
    }
    text.word("authorize", analysis.authorize);
    text.words("runners", &analysis.runners)?;
    text.number("rounds", u64::from(analysis.rounds));
    text.number("memory_mib", u64::from(analysis.memory_mib));
    text.table("analysis.parameters", &analysis.parameters)?;
    text.table("analysis.disclosure", &analysis.disclosure)?;
    for output in &analysis.outputs {
        text.block("analysis.output");
        text.word("recipient", &output.recipient);
        text.word("name", &output.name);
        text.number("bytes", output.bytes);
    }
    Ok(())
}
