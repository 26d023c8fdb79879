//! Sealing datasets.

use crate::world::{World, name};
use arrow_array::builder::{Int32Builder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use entente_agreement::{Format, Namespace};
use entente_party::{ConvertError, KeyServiceError, Progress, SealError};
use entente_sealing::blob::open_blob;
use entente_sealing::table::{TableReader, TableTerms};
use entente_sealing::{ChunkWriter, SealingKeys};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn files_in(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

const WIDE: &str = "lot,amount,units,firm,day,at,proof,note,internal\n\
    villa,12.50,3,true,2026-01-31,2026-01-31T12:00:00.000001Z,00ff,,ignored\n\
    \"barn, red\",-7,0,false,1999-12-31,2026-01-31T12:00:00+02:00,,\"two\nlines\",ignored\n";

#[test]
fn a_csv_file_is_sealed_and_opens_as_it_was() {
    let (world, approved) = World::approved();
    let source = world.source("wide.csv", WIDE);
    let mut seen = Vec::new();
    let sealed =
        world.seal_watched(&approved, "north", "wide", &source, &mut |progress| seen.push(progress)).unwrap();
    assert_eq!(
        files_in(&world.path("sealed")),
        ["wide.manifest.toml", "wide.manifest.toml.north.sig", "wide.parquet"]
    );
    assert_eq!((sealed.rows, sealed.left_out), (Some(2), vec!["internal".to_owned()]));
    let of = WIDE.len() as u64;
    assert_eq!(
        seen,
        [
            Progress::Sealing { rows: 2, bytes: of, of },
            Progress::Comparing { rows: 2, bytes: of, of },
            Progress::Wrapping
        ]
    );

    // The manifest: signed, with the chunks of the file, and a commitment that the wrapped key fits.
    let manifest = &sealed.manifest;
    let signature = fs::read(&sealed.signature).unwrap();
    world.home("north").sign_key().verify(Namespace::Manifest, manifest.bytes(), &signature).unwrap();
    assert_eq!(fs::read(&sealed.manifest_file).unwrap(), manifest.bytes());
    let bytes = fs::read(&sealed.file).unwrap();
    let mut chunks = ChunkWriter::new(std::io::sink());
    chunks.write_all(&bytes).unwrap();
    let (_, chunks) = chunks.finish().unwrap();
    assert_eq!((chunks.digest(), chunks.bytes()), (manifest.chunks(), manifest.size()));
    assert!(world.home("north").journal().unwrap().sealed(&manifest.digest()));
    let (key, binding) = world.keys.unwrap(manifest.wrapped_key());
    assert_eq!(
        (binding.agreement, &binding.dataset, binding.sealing),
        (world.agreement.digest(), manifest.dataset(), manifest.sealing())
    );
    let keys = SealingKeys::derive_committed(&key, &binding, manifest.commitment())
        .unwrap_or_else(|_| unreachable!());

    let dataset = world.agreement.dataset(&name("wide")).unwrap();
    let terms = TableTerms::of(dataset).unwrap();
    let batches = TableReader::open(File::open(&sealed.file).unwrap(), &keys, &terms, 1 << 20)
        .unwrap()
        .read_all()
        .unwrap();
    let expected: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["villa", "barn, red"])),
        Arc::new(Decimal128Array::from(vec![1250, -700]).with_precision_and_scale(18, 2).unwrap()),
        Arc::new(Int64Array::from(vec![3, 0])),
        Arc::new(BooleanArray::from(vec![true, false])),
        Arc::new(Date32Array::from(vec![20_484, 10_956])),
        Arc::new(
            arrow_array::TimestampMicrosecondArray::from(vec![1_769_860_800_000_001, 1_769_853_600_000_000])
                .with_timezone("UTC"),
        ),
        Arc::new(arrow_array::BinaryArray::from_vec(vec![&[0, 0xff], b""])),
        Arc::new(StringArray::from(vec![None, Some("two\nlines")])),
    ];
    assert_eq!(batches, [RecordBatch::try_new(terms.schema().clone(), expected).unwrap()]);
}

#[test]
fn a_row_that_does_not_fit_is_named_and_nothing_is_sealed() {
    let (world, approved) = World::approved();
    let good = "villa,1,1,true,2026-01-31,2026-01-31T12:00:00Z,00,\n";
    let header = "lot,amount,units,firm,day,at,proof,note\n";
    let cases = [
        ("villa,1.005,1,true,2026-01-31,2026-01-31T12:00:00Z,00,", "amount", "1.005"),
        ("villa,1e3,1,true,2026-01-31,2026-01-31T12:00:00Z,00,", "amount", "1e3"),
        ("villa,,1,true,2026-01-31,2026-01-31T12:00:00Z,00,", "amount", ""),
        ("villa,1,1.0,true,2026-01-31,2026-01-31T12:00:00Z,00,", "units", "1.0"),
        (
            "villa,1,9223372036854775808,true,2026-01-31,2026-01-31T12:00:00Z,00,",
            "units",
            "9223372036854775808",
        ),
        ("villa,1,1,yes,2026-01-31,2026-01-31T12:00:00Z,00,", "firm", "yes"),
        ("villa,1,1,true,31.01.2026,2026-01-31T12:00:00Z,00,", "day", "31.01.2026"),
        ("villa,1,1,true,2026-01-31,2026-01-31 12:00,00,", "at", "2026-01-31 12:00"),
        ("villa,1,1,true,2026-01-31,2026-01-31T12:00:00Z,0x00,", "proof", "0x00"),
        ("villa,1,1,true,2026-01-31,2026-01-31T12:00:00Z,0001020304,", "proof", "0001020304"),
        (
            "a lot with a long name,1,1,true,2026-01-31,2026-01-31T12:00:00Z,00,",
            "lot",
            "a lot with a long name",
        ),
    ];
    for (row, column, value) in cases {
        let source = world.source("wide.csv", &format!("{header}{good}{good}{row}\n{good}"));
        let error = world.seal(&approved, "north", "wide", &source).unwrap_err();
        let SealError::Convert(ConvertError::Cell(fault)) = error else { unreachable!("{error}") };
        assert_eq!((fault.line(), fault.column(), fault.value()), (Some(4), column, value));
        assert_eq!(fault.path(), source);
        assert!(fault.to_string().starts_with(&format!("{}:4: column {column:?}", source.display())));
        assert!(files_in(&world.path("sealed")).is_empty());
    }
    // A field with line breaks before it does not shift the line.
    let rows = "\"a\nb\",1,1,true,2026-01-31,2026-01-31T12:00:00Z,00,\n\"c\nd\",x,1,true,2026-01-31,2026-01-31T12:00:00Z,00,\n";
    let source = world.source("wide.csv", &format!("{header}{rows}"));
    let error = world.seal(&approved, "north", "wide", &source).unwrap_err();
    let SealError::Convert(ConvertError::Cell(fault)) = error else { unreachable!("{error}") };
    assert_eq!((fault.line(), fault.column()), (Some(5), "amount"));
    assert!(world.keys.wrapped.borrow().is_empty(), "no key was wrapped");
}

#[test]
fn files_of_the_wrong_form_are_named() {
    let (world, approved) = World::approved();
    let attempt = |file: &str, text: &str| {
        let source = world.source(file, text);
        let error = world.seal(&approved, "south", "bids-south", &source).unwrap_err();
        assert!(files_in(&world.path("sealed")).is_empty());
        error
    };
    assert!(matches!(
        attempt("a.csv", "lot\nvilla\n"),
        SealError::Convert(ConvertError::ColumnMissing { column, .. }) if column == "amount"
    ));
    assert!(matches!(
        attempt("a.csv", "lot,amount,lot\nvilla,1,villa\n"),
        SealError::Convert(ConvertError::ColumnTwice { column, .. }) if column == "lot"
    ));
    assert!(matches!(
        attempt("a.csv", "lot,amount\nvilla,1\nbarn\n"),
        SealError::Convert(ConvertError::Fields { line: 3, expected: 2, found: 1, .. })
    ));
    assert!(matches!(attempt("a.parquet", "PAR1"), SealError::Convert(ConvertError::NotReadable { .. })));
    assert!(matches!(attempt("a.arrow", "ARROW1"), SealError::Convert(ConvertError::NotReadable { .. })));
    assert!(matches!(attempt("a.xlsx", "PK"), SealError::UnknownForm { .. }));
    let many = format!("lot,amount\n{}", "villa,1\n".repeat(101));
    assert!(matches!(
        attempt("a.csv", &many),
        SealError::Table(entente_sealing::table::SealTableError::TooManyRows { limit: 100 })
    ));
    let source = world.source("b.csv", "lot,amount\n");
    assert!(matches!(world.seal(&approved, "north", "bids-south", &source), Err(SealError::NotOwner { .. })));
    assert!(matches!(world.seal(&approved, "north", "x", &source), Err(SealError::UnknownDataset { .. })));
}

/// The eight columns of `wide`, in types that stock tools like to use.
fn wide(amount: i128, time: ArrayRef) -> RecordBatch {
    let mut lots = StringDictionaryBuilder::<Int32Type>::new();
    lots.append_value("villa");
    lots.append_value("villa");
    let mut units = Int32Builder::new();
    units.append_slice(&[1, 2]);
    RecordBatch::try_from_iter([
        ("note", Arc::new(StringArray::from(vec![Some("x"), None])) as ArrayRef),
        ("lot", Arc::new(lots.finish())),
        (
            "amount",
            Arc::new(Decimal128Array::from(vec![1000, amount]).with_precision_and_scale(20, 3).unwrap()),
        ),
        ("units", Arc::new(units.finish())),
        ("firm", Arc::new(BooleanArray::from(vec![true, false]))),
        ("day", Arc::new(Date32Array::from(vec![1, 2]))),
        ("at", time),
        ("proof", Arc::new(FixedSizeBinaryArray::try_from_iter([[1, 2], [3, 4]].iter()).unwrap())),
        ("extra", Arc::new(Int64Array::from(vec![7, 8]))),
    ])
    .unwrap()
}

fn write_arrow(path: &Path, batch: &RecordBatch) {
    let mut writer =
        arrow_ipc::writer::FileWriter::try_new(File::create(path).unwrap(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

fn write_stream(path: &Path, batch: &RecordBatch) {
    let mut writer =
        arrow_ipc::writer::StreamWriter::try_new(File::create(path).unwrap(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_and_arrow_files_are_sealed_exactly() {
    let (world, approved) = World::approved();
    let millis: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![1, 2]).with_timezone("Europe/Berlin"));
    for (file, write) in [
        ("wide.parquet", write_parquet as fn(&Path, &RecordBatch)),
        ("wide.arrow", write_arrow),
        ("wide.arrows", write_stream),
    ] {
        let source = world.path(file);
        write(&source, &wide(2000, Arc::clone(&millis)));
        let sealed = world.seal(&approved, "north", "wide", &source).unwrap();
        assert_eq!((sealed.rows, sealed.left_out), (Some(2), vec!["extra".to_owned()]), "{file}");
        let (key, binding) = world.keys.unwrap(sealed.manifest.wrapped_key());
        let keys = SealingKeys::derive(&key, &binding);
        let terms = TableTerms::of(world.agreement.dataset(&name("wide")).unwrap()).unwrap();
        let rows = TableReader::open(File::open(&sealed.file).unwrap(), &keys, &terms, 1 << 20)
            .unwrap()
            .read_all()
            .unwrap();
        let amounts = Decimal128Array::from(vec![100, 200]).with_precision_and_scale(18, 2).unwrap();
        assert_eq!(&rows[0]["amount"], &(Arc::new(amounts) as ArrayRef));
        let times = arrow_array::TimestampMicrosecondArray::from(vec![1000, 2000]).with_timezone("UTC");
        assert_eq!(&rows[0]["at"], &(Arc::new(times) as ArrayRef));
        fs::remove_dir_all(world.path("sealed")).unwrap();

        // One digit too many, in row 2; and a nanosecond that no microsecond is.
        write(&source, &wide(2001, Arc::clone(&millis)));
        let error = world.seal(&approved, "north", "wide", &source).unwrap_err();
        let SealError::Convert(ConvertError::Cell(fault)) = error else { unreachable!("{error}") };
        assert_eq!((fault.row(), fault.column(), fault.value()), (Some(2), "amount", "2.001"));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1000, 1001]).with_timezone("UTC"));
        write(&source, &wide(2000, nanos));
        let error = world.seal(&approved, "north", "wide", &source).unwrap_err();
        let SealError::Convert(ConvertError::Cell(fault)) = error else { unreachable!("{error}") };
        assert_eq!((fault.row(), fault.column()), (Some(2), "at"));
        let local: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1, 2]));
        write(&source, &wide(2000, local));
        let error = world.seal(&approved, "north", "wide", &source).unwrap_err();
        assert!(
            matches!(error, SealError::Convert(ConvertError::ColumnType { column, .. }) if column == "at")
        );
        assert!(files_in(&world.path("sealed")).is_empty());
    }
}

#[test]
fn many_rows_are_compared_across_batches() {
    let (world, approved) = World::approved();
    let mut text = String::from("lot,amount,units,firm,day,at,proof,note\n");
    for row in 0..20_000 {
        text.push_str(&format!("lot-{row},{row}.25,{row},true,2026-01-31,2026-01-31T12:00:00Z,00,n{row}\n"));
    }
    let source = world.source("wide.csv", &text);
    assert_eq!(world.seal(&approved, "north", "wide", &source).unwrap().rows, Some(20_000));
}

#[test]
fn a_source_that_changes_meanwhile_is_noticed() {
    let (world, approved) = World::approved();
    let source = world.source("bids.csv", "lot,amount\nvilla,1\n");
    let path = source.clone();
    let error = world
        .seal_watched(&approved, "south", "bids-south", &source, &mut |progress| {
            if matches!(progress, Progress::Sealing { .. }) {
                fs::write(&path, "lot,amount\nvilla,2\n").unwrap();
            }
        })
        .unwrap_err();
    assert!(matches!(error, SealError::Differs { row: 1 }));
    assert!(files_in(&world.path("sealed")).is_empty());
}

#[test]
fn a_blob_is_sealed_to_the_enclave_and_its_owner() {
    let (world, approved) = World::approved();
    let model: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let source = world.path("model.onnx");
    fs::write(&source, &model).unwrap();
    let sealed = world.seal(&approved, "north", "model", &source).unwrap();
    assert_eq!((sealed.rows, sealed.manifest.format()), (None, Format::Age));
    let (key, binding) = world.keys.unwrap(sealed.manifest.wrapped_key());
    let keys = SealingKeys::derive(&key, &binding);
    let bytes = fs::read(&sealed.file).unwrap();
    assert_eq!(*open_blob(&bytes, &keys, 1 << 20).unwrap(), model);
    let own = world.home("north").result_identity().unwrap();
    assert_eq!(*own.open(&bytes, 1 << 20).unwrap(), model);
}

#[test]
fn a_failure_leaves_nothing_and_a_second_sealing_replaces_nothing() {
    let (world, approved) = World::approved();
    let source = world.source("bids.csv", "lot,amount\nvilla,1\n");
    *world.keys.fails.borrow_mut() = Some("Encrypt");
    let error = world.seal(&approved, "south", "bids-south", &source).unwrap_err();
    assert!(matches!(
        error,
        SealError::KeyService(KeyServiceError::Unreachable { operation: "Encrypt", .. })
    ));
    assert!(files_in(&world.path("sealed")).is_empty());
    assert_eq!(world.home("south").journal().unwrap().entries().len(), 1);
    *world.keys.fails.borrow_mut() = None;
    let sealed = world.seal(&approved, "south", "bids-south", &source).unwrap();
    let before = fs::read(&sealed.file).unwrap();
    assert!(matches!(
        world.seal(&approved, "south", "bids-south", &source),
        Err(SealError::AlreadyThere { path }) if path == sealed.file
    ));
    assert_eq!(fs::read(&sealed.file).unwrap(), before);
}

#[test]
fn two_sealings_of_one_file_share_nothing() {
    let (world, approved) = World::approved();
    let source = world.source("bids.csv", "lot,amount\nvilla,1\n");
    let first = world.seal(&approved, "south", "bids-south", &source).unwrap().manifest;
    fs::remove_dir_all(world.path("sealed")).unwrap();
    let second = world.seal(&approved, "south", "bids-south", &source).unwrap().manifest;
    assert_ne!(first.sealing(), second.sealing());
    assert_ne!(first.commitment(), second.commitment());
    let wrapped = world.keys.wrapped.borrow();
    assert_ne!(wrapped[0].0, wrapped[1].0);
}
