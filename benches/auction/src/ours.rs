//! Our side: from sealed files to sealed files, as the enclave does it, in one process and one thread.

use std::{fs, io::BufRead as _, path::Path, time::Instant};

use anyhow::{Context as _, Result, anyhow};
use arrow_array::RecordBatch;
use bytes::Bytes;
use entente_agreement::{Agreement, Name};
use entente_analysis::{Analysis as _, Input, InputTables};
use entente_attestation::Digest384;
use entente_auction::Auction;
use entente_disclosure::{Released, Results, Verdict, disclose};
use entente_sealing::{
    ChunkList, PIECE_BYTES, RunSeed,
    result::{self, ArchiveFile, ResultArchive, ResultBinding},
    table::{TableReader, TableTerms},
};

use crate::data;

/// What the decoded rows of one dataset may take in memory.
const DECODED: u64 = 1 << 30;

/// Takes a turn for each line on standard input, and prints the seconds that it took; at the end the peak memory in KiB.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    let text = fs::read(directory.join("agreement.toml")).context("agreement.toml")?;
    let agreement = Agreement::parse(&text)?;
    for (turn, line) in std::io::stdin().lock().lines().enumerate() {
        line.context("standard input")?;
        let start = Instant::now();
        let released = compute(directory, &agreement)?;
        write(directory, &agreement, &released)?;
        println!("{}", start.elapsed().as_secs_f64());
        if turn == 0 {
            write_answers(directory, &released)?;
        }
    }
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    println!("{}", peak.trim().trim_end_matches(" kB"));
    Ok(())
}

fn compute(directory: &Path, agreement: &Agreement) -> Result<Released<Results>> {
    let analysis = agreement.analyses().first().context("an analysis")?;
    let auction = Auction::configure(agreement, analysis)?;
    let mut contributions = Vec::new();
    let mut tables = Vec::new();
    for name in analysis.datasets() {
        let keys = data::keys(agreement, name)?;
        tables.push(open(directory, agreement, name)?);
        contributions.push(keys);
    }
    let seed =
        RunSeed::new(contributions.iter().map(|keys| keys.contribution()), &Digest384::of(b"inputs"), None);
    let mut tables = tables.into_iter();
    let inputs =
        InputTables::gather(agreement, analysis, |_| tables.next().map_or(Input::Absent, Input::Table));
    Ok(disclose(agreement, analysis, auction.rules(), auction.run(inputs, &seed)))
}

fn open(directory: &Path, agreement: &Agreement, name: &Name) -> Result<Vec<RecordBatch>> {
    let sealed = fs::read(directory.join(format!("{name}.sealed")))?;
    let digests = fs::read(directory.join(format!("{name}.chunks")))?;
    let list = ChunkList::parse(&digests, sealed.len() as u64, &Digest384::of(&digests))?;
    for (index, piece) in sealed.chunks(PIECE_BYTES).enumerate() {
        list.check(index, piece)?;
    }
    let terms = TableTerms::of(agreement.dataset(name).context("dataset")?)?;
    let keys = data::keys(agreement, name)?;
    Ok(TableReader::open(Bytes::from(sealed), &keys, &terms, DECODED)?.read_all()?)
}

/// Archives each result, seals it to its recipient and writes it.
fn write(directory: &Path, agreement: &Agreement, released: &Released<Results>) -> Result<()> {
    let analysis = agreement.analyses().first().context("an analysis")?;
    for (output, agreed) in released.iter().zip(analysis.outputs()) {
        let binding = ResultBinding {
            agreement: agreement.digest(),
            inputs: Digest384::of(b"inputs"),
            request: None,
            analysis: analysis.name().clone(),
            recipient: output.recipient().clone(),
            output: output.output().clone(),
            verdict: match output.verdict() {
                Verdict::Released => result::Verdict::Released,
                Verdict::Refused => return Err(anyhow!("{} was refused", agreed.file_name())),
            },
            salt: [0; 32],
        };
        let files = output
            .files()
            .iter()
            .map(|file| ArchiveFile::new(file.name(), file.bytes().to_vec()))
            .collect::<Result<Vec<_>, _>>()?;
        let archive = ResultArchive::build(&binding, &files, agreed.bytes())?;
        // The digest goes into the receipt.
        let _ = archive.digest();
        let party = agreement.party(output.recipient()).context("a party")?;
        fs::write(directory.join("ours").join(agreed.file_name()), archive.seal(party.result_key())?)?;
    }
    Ok(())
}

/// The tables as they were before sealing, to compare.
fn write_answers(directory: &Path, released: &Released<Results>) -> Result<()> {
    for output in released.iter() {
        let table = output.files().first().context("a table")?;
        let name = match output.output().as_str() {
            "outcome" => "outcome.csv".to_owned(),
            _ => format!("lots-{}.csv", output.recipient()),
        };
        fs::write(directory.join("ours").join(name), table.bytes())?;
    }
    Ok(())
}
