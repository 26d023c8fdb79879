//! `entente data`: seal data, and look at what was sealed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use entente_agreement::Name;
use entente_party::{Home, Progress, SealOrder, SourceFormat, read_manifest, seal};
use entente_sealing::ChunkWriter;

use super::agreement::{read as read_agreement, read_approved};
use super::attest::now;
use super::inputs::key_service;
use crate::output::{Misuse, Output, Verdict};
use crate::progress;

/// Seal data for one agreement, and look at what was sealed.
#[derive(Subcommand)]
pub(crate) enum Data {
    /// Seal a table or a blob for one dataset of an approved agreement
    ///
    /// Makes a fresh key, encrypts, opens the sealed file again and compares, has the key wrapped by your key service, writes and
    /// signs a manifest. A value that does not fit the agreed schema is named with file, line, column and value, and nothing is
    /// sealed. The key service is found as AWS's own tools find it (AWS_PROFILE, AWS_CONFIG_FILE, AWS_ENDPOINT_URL_KMS, …).
    ///
    /// Example: entente data seal bids-north.csv --agreement agreement.toml --dataset bids-north --home north --out sealed
    Seal(Seal),
    /// Say what a manifest commits to, and check the sealed file and the signature against it
    ///
    /// Example: entente data inspect sealed/bids-north.manifest.toml --agreement agreement.toml
    Inspect {
        /// The manifest
        manifest: PathBuf,
        /// The agreement, to verify the owner's signature
        #[arg(long, value_name = "FILE")]
        agreement: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct Seal {
    /// The table (CSV, Parquet, Arrow) or blob
    source: PathBuf,
    /// The agreement; the approvals lie beside it
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// Which dataset of it
    #[arg(long)]
    dataset: Name,
    /// This party's directory
    #[arg(long)]
    home: PathBuf,
    /// The table's form; by default as the name ends
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Where to put the sealed file, its manifest and the signature
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Csv,
    Parquet,
    Arrow,
}

impl Data {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Seal(seal) => seal.run(output),
            Self::Inspect { manifest, agreement } => inspect(&manifest, agreement.as_deref(), output),
        }
    }
}

impl Seal {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let home = Home::open(&self.home)?;
        let approved = read_approved(&self.agreement)?;
        let order = SealOrder {
            approved: &approved,
            dataset: &self.dataset,
            source: &self.source,
            source_format: self.format.map(|form| match form {
                Form::Csv => SourceFormat::Csv,
                Form::Parquet => SourceFormat::Parquet,
                Form::Arrow => SourceFormat::ArrowIpc,
            }),
            directory: &self.out,
            at: now(),
        };
        let bar = progress::bytes("seal", 0);
        let sealed = seal(&home, &order, &key_service(), &mut |progress| match progress {
            Progress::Sealing { bytes, of, .. } => {
                bar.set_length(of);
                bar.set_position(bytes);
            }
            Progress::Comparing { bytes, of, .. } => {
                bar.set_message("compare");
                bar.set_length(of);
                bar.set_position(bytes);
            }
            Progress::Wrapping => bar.set_message("wrap the key"),
        });
        bar.finish_and_clear();
        let sealed = sealed?;
        output.line(format_args!("sealed {} into {}", self.source.display(), sealed.file.display()));
        if let Some(rows) = sealed.rows {
            output
                .line(format_args!("{rows} rows; the file does not tell how many if the agreement pads it"));
        }
        for column in &sealed.left_out {
            output.line(format_args!("left out: the column `{column}`, which the agreement does not name"));
        }
        output.line(format_args!("manifest {} {}", sealed.manifest_file.display(), sealed.manifest.digest()));
        output.fact("file", &sealed.file);
        output.fact("manifest", &sealed.manifest_file);
        output.fact("signature", &sealed.signature);
        output.fact("digest", sealed.manifest.digest().to_string());
        output.fact("rows", sealed.rows);
        output.fact("left_out", &sealed.left_out);
        Ok(Verdict::Good)
    }
}

fn inspect(path: &Path, agreement: Option<&Path>, output: &mut Output) -> Result<Verdict> {
    let signed = read_manifest(path)?;
    let manifest = signed.manifest();
    output.line(format_args!("manifest   {}", manifest.digest()));
    output.line(format_args!("agreement  {}", manifest.agreement()));
    output.line(format_args!("dataset    {} of {}", manifest.dataset(), manifest.owner()));
    output.line(format_args!("sealing    {}", manifest.sealing()));
    output.line(format_args!("format     {}, {} bytes", manifest.format(), manifest.size()));
    output.fact("digest", manifest.digest().to_string());
    output.fact("agreement", manifest.agreement().to_string());
    output.fact("dataset", manifest.dataset().to_string());
    output.fact("owner", manifest.owner().to_string());
    output.fact("sealing", manifest.sealing().to_string());
    output.fact("bytes", manifest.size());
    let mut verdict = Verdict::Good;
    let file = path.with_file_name(format!("{}.{}", manifest.dataset(), manifest.format()));
    if file.exists() {
        let same = digest_of_chunks(&file)? == manifest.chunks();
        output.line(format_args!(
            "file       {} {}",
            file.display(),
            if same { "is the one" } else { "is NOT the one that the manifest commits to" }
        ));
        output.fact("file", if same { "same" } else { "differs" });
        verdict = if same { verdict } else { Verdict::Bad };
    }
    if let Some(agreement) = agreement {
        let agreement = read_agreement(agreement)?;
        let owner = agreement
            .party(manifest.owner())
            .with_context(|| Misuse(format!("the agreement has no party `{}`", manifest.owner())))?;
        match owner.sign_key().verify(
            entente_agreement::Namespace::Manifest,
            manifest.bytes(),
            signed.signature(),
        ) {
            Ok(()) => output.line(format_args!("signature  by {}", manifest.owner())),
            Err(error) => {
                output.line(format_args!("signature  REFUSED: {error}"));
                verdict = Verdict::Bad;
            }
        }
        output.fact("signature", if verdict == Verdict::Good { "verified" } else { "refused" });
    }
    Ok(verdict)
}

/// The digest over a sealed file's pieces (PROTOCOL §2).
fn digest_of_chunks(path: &Path) -> Result<entente_attestation::Digest384> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut writer = ChunkWriter::new(std::io::sink());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        std::io::Write::write_all(&mut writer, piece).context("cannot hash")?;
    }
    let (_, list) = writer.finish().context("cannot hash")?;
    Ok(list.digest())
}
