//! Sealed tables: round trips, what a file shows, and hostile files.

use super::*;
use crate::material::{self, MaterialError};
use crate::{DatasetKey, SealingKeys};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::encryption::encrypt::{EncryptionPropertiesBuilder, FileEncryptionProperties};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;
use std::sync::Arc;
use zeroize::Zeroizing;

#[path = "../../tests/fixture/mod.rs"]
mod fixture;
use fixture::{ALL_TYPES, K, binding, keys, rows, terms};

const LIMIT: u64 = 64 << 20;

fn seal(terms: &TableTerms, batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), &keys(), terms).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap().out
}

fn open(sealed: &[u8], terms: &TableTerms) -> Result<Vec<RecordBatch>, OpenTableError> {
    TableReader::open(Bytes::copy_from_slice(sealed), &keys(), terms, LIMIT)?.read_all()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn all_types_make_the_round_trip() {
    for pad in [false, true] {
        let terms = terms(ALL_TYPES, 100, pad);
        let batch = rows(&terms, 31);
        let sealed = seal(&terms, &[batch.slice(0, 10), batch.slice(10, 21)]);
        let opened = open(&sealed, &terms).unwrap();
        let opened = arrow_select::concat::concat_batches(terms.schema(), &opened).unwrap();
        assert_eq!(opened, batch);
    }
}

#[test]
fn an_empty_table_and_a_full_one_are_tables() {
    for pad in [false, true] {
        let terms = terms(ALL_TYPES, 20, pad);
        let opened = open(&seal(&terms, &[]), &terms).unwrap();
        assert_eq!(opened.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
        let batch = rows(&terms, 20);
        let opened = open(&seal(&terms, std::slice::from_ref(&batch)), &terms).unwrap();
        assert_eq!(opened, [batch]);
    }
}

#[test]
fn nothing_stands_in_plaintext() {
    for pad in [false, true] {
        let terms = terms(ALL_TYPES, 100, pad);
        let sealed = seal(&terms, &[rows(&terms, 30)]);
        assert!(sealed.starts_with(b"PARE") && sealed.ends_with(b"PARE"));
        for text in ["SECRETLOT", "note", "amount", "entente_pad", "parquet-rs", "ARROW"] {
            assert!(!contains(&sealed, text.as_bytes()), "{text}");
        }
        // Decimals of row 10, big endian, and an int64 that only `units` holds.
        assert!(!contains(&sealed, &(10_i64 * 100_001 - 7).to_be_bytes()));
        assert!(!contains(&sealed, &29_i64.to_le_bytes()));
        // What has to be readable is there.
        assert!(contains(&sealed, br#""masterKeyID":"bids-north""#));
        assert!(contains(&sealed, br#""kmsInstanceURL":"DEFAULT""#));
    }
}

/// Lengths of everything that a host can tell apart in a file: the modules, one after the other.
fn modules(sealed: &[u8]) -> Vec<usize> {
    let footer =
        usize::try_from(u32::from_le_bytes(*sealed[..sealed.len() - 4].last_chunk().unwrap())).unwrap();
    let end = sealed.len() - 8 - footer;
    let mut at = 4;
    let mut lengths = Vec::new();
    while at < end {
        let length = 4 + usize::try_from(u32::from_le_bytes(*sealed[at..].first_chunk().unwrap())).unwrap();
        lengths.push(length);
        at += length;
    }
    assert_eq!(at, end);
    lengths.push(footer);
    lengths
}

#[test]
fn padding_hides_the_number_of_rows_and_the_lengths_of_texts() {
    let schema = r#""lot text(40)", "amount decimal(18,2)", "units int64""#;
    let terms = terms(schema, 500, true);
    let table = |count: usize, text: &str| {
        let lots: ArrayRef = Arc::new(StringArray::from(vec![text; count]));
        let amounts =
            arrow_array::Decimal128Array::from(vec![1; count]).with_precision_and_scale(18, 2).unwrap();
        let units: ArrayRef = Arc::new(Int64Array::from(vec![7; count]));
        RecordBatch::try_new(terms.schema().clone(), vec![lots, Arc::new(amounts), units]).unwrap()
    };
    let lengths = modules(&seal(&terms, &[table(1, "x")]));
    let longest = "y".repeat(40);
    for (count, text) in [(0, ""), (1, ""), (2, longest.as_str()), (499, "z"), (499, longest.as_str())] {
        assert_eq!(modules(&seal(&terms, &[table(count, text)])), lengths, "{count} rows");
    }
}

#[test]
fn the_keys_decide() {
    let terms = terms(ALL_TYPES, 100, false);
    let sealed = Bytes::from(seal(&terms, &[rows(&terms, 3)]));
    let refused =
        |keys: SealingKeys| TableReader::open(sealed.clone(), &keys, &terms, LIMIT).map(|_| ()).unwrap_err();
    let other = DatasetKey::from_bytes(Zeroizing::new([1; 32]));
    let wrong_key = SealingKeys::derive(&other, &binding("bids-north"));
    assert_eq!(refused(wrong_key), LayoutError::Material(MaterialError::WrongKey).into());
    let other_slot = SealingKeys::derive(&DatasetKey::from_bytes(Zeroizing::new(K)), &binding("bids-south"));
    assert_eq!(refused(other_slot), LayoutError::Material(MaterialError::ForeignKey).into());
}

#[test]
fn limits_are_kept() {
    let agreed = terms(ALL_TYPES, 100, false);
    let sealed = seal(&agreed, &[rows(&agreed, 30)]);
    assert_eq!(open(&sealed, &terms(ALL_TYPES, 29, false)), Err(OpenTableError::TooManyRows { limit: 29 }));
    let small = TableTerms::of(&fixture::dataset(ALL_TYPES, 1000, 100, false)).unwrap();
    assert_eq!(open(&sealed, &small), Err(OpenTableError::TooLarge { limit: 1000 }));
    let expansion = TableReader::open(Bytes::from(sealed), &keys(), &agreed, 500).map(|_| ()).unwrap_err();
    assert_eq!(expansion, LayoutError::Expansion { limit: 500 }.into());
    let mut writer = TableWriter::new(Vec::new(), &keys(), &terms(ALL_TYPES, 29, false)).unwrap();
    assert_eq!(writer.write(&rows(&agreed, 30)), Err(SealTableError::TooManyRows { limit: 29 }));
    let vast = terms(ALL_TYPES, 1 << 30, true);
    assert_eq!(
        TableWriter::new(Vec::new(), &keys(), &vast).map(|_| ()),
        Err(SealTableError::TooLargeToPad { rows: 1 << 30 })
    );
}

#[test]
fn a_padded_table_is_full_and_plain() {
    let unpadded = terms(ALL_TYPES, 100, false);
    let padded = terms(ALL_TYPES, 100, true);
    let sealed = seal(&unpadded, &[rows(&unpadded, 3)]);
    assert_eq!(open(&sealed, &padded), Err(SchemaError::Columns { expected: 9, found: 8 }.into()));
    let sealed = seal(&padded, &[rows(&padded, 3)]);
    assert_eq!(open(&sealed, &terms(ALL_TYPES, 101, true)), Err(OpenTableError::NotFilledUp { rows: 101 }));
    assert_eq!(open(&sealed, &unpadded), Err(SchemaError::Columns { expected: 8, found: 9 }.into()));
}

/// Writes a table with other means than ours, under the derived keys: what a hostile owner, or a stock tool, can do.
fn foreign(
    columns: Vec<(Field, ArrayRef)>,
    encrypt: impl FnOnce(EncryptionPropertiesBuilder) -> EncryptionPropertiesBuilder,
    write: impl FnOnce(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
) -> Vec<u8> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let wrapped = material::wrap_fresh(&keys()).unwrap();
    let encryption = encrypt(
        FileEncryptionProperties::builder(wrapped.data_key.to_vec())
            .with_footer_key_metadata(wrapped.material),
    )
    .build()
    .unwrap();
    let properties = write(WriterProperties::builder().with_file_encryption_properties(encryption)).build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

fn two_columns(nullable: bool) -> Vec<(Field, ArrayRef)> {
    vec![
        (Field::new("lot", DataType::Utf8, nullable), Arc::new(StringArray::from(vec!["villa"; 50]))),
        (Field::new("units", DataType::Int64, nullable), Arc::new(Int64Array::from(vec![1; 50]))),
    ]
}

const TWO: &str = r#""lot text(5)", "units int64""#;

#[test]
fn a_stock_writers_table_is_a_table() {
    // Dictionary, Snappy, every column nullable: what PyArrow writes by default.
    let sealed = foreign(
        two_columns(true),
        |e| e,
        |w| w.set_compression(Compression::SNAPPY).set_dictionary_enabled(true),
    );
    let opened = open(&sealed, &terms(TWO, 50, false)).unwrap();
    assert_eq!(opened[0].num_rows(), 50);
    assert_eq!(opened[0].schema(), *terms(TWO, 50, false).schema());
}

#[test]
fn what_was_not_agreed_is_refused() {
    let terms = terms(TWO, 50, false);
    let same = |w: WriterPropertiesBuilder| w;
    // The worst trap of Modular Encryption: one column key set, the other columns in plaintext.
    let one_key = foreign(two_columns(false), |e| e.with_column_key("lot", vec![7; 32]), same);
    assert_eq!(open(&one_key, &terms), Err(LayoutError::ColumnKey { column: 0 }.into()));
    let other_key = foreign(two_columns(false), |e| e.with_column_key("units", vec![7; 32]), same);
    assert_eq!(open(&other_key, &terms), Err(LayoutError::ColumnKey { column: 0 }.into()));
    let plain_footer = foreign(two_columns(false), |e| e.with_plaintext_footer(true), same);
    assert_eq!(open(&plain_footer, &terms), Err(LayoutError::NotEncryptedParquet.into()));
    let prefix = foreign(two_columns(false), |e| e.with_aad_prefix(b"prefix".to_vec()), same);
    assert_eq!(open(&prefix, &terms), Err(LayoutError::Algorithm.into()));
    let stored =
        foreign(two_columns(false), |e| e.with_aad_prefix(b"x".to_vec()).with_aad_prefix_storage(true), same);
    assert_eq!(open(&stored, &terms), Err(LayoutError::Algorithm.into()));

    let columns = |change: fn(&mut Vec<(Field, ArrayRef)>)| {
        let mut columns = two_columns(true);
        change(&mut columns);
        open(&foreign(columns, |e| e, same), &terms).unwrap_err()
    };
    assert_eq!(columns(|c| c.truncate(1)), SchemaError::Columns { expected: 2, found: 1 }.into());
    let swapped = SchemaError::Name { number: 1, expected: "lot".into(), found: "units".into() };
    assert_eq!(columns(|c| c.swap(0, 1)), swapped.into());
    let other_type = columns(|c| {
        c[1] = (
            Field::new("units", DataType::Int32, true),
            Arc::new(arrow_array::Int32Array::from(vec![1; 50])),
        );
    });
    assert_eq!(
        other_type,
        SchemaError::Type { column: "units".into(), expected: "Int64".into(), found: "Int32".into() }.into()
    );
    let null = columns(|c| c[1].1 = Arc::new(Int64Array::from_iter((0..50).map(|i| (i != 17).then_some(i)))));
    assert_eq!(null, ValueError::Null { column: "units".into(), row: 17 }.into());
    let long = columns(|c| {
        c[0].1 = Arc::new(StringArray::from_iter_values((0..50).map(|i| if i == 3 { "villas" } else { "" })));
    });
    assert_eq!(long, ValueError::TooLong { column: "lot".into(), row: 3 }.into());
    let nested = columns(|c| {
        let list = arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
            (0..50).map(|i| Some(vec![Some(i)])),
        );
        let field = Field::new("units", arrow_array::Array::data_type(&list).clone(), true);
        c[1] = (field, Arc::new(list));
    });
    assert_eq!(nested, SchemaError::Nested { column: "units".into() }.into());
}

#[test]
fn a_padded_table_must_not_be_compressed() {
    let mut columns = two_columns(false);
    columns.push((
        Field::new(PAD_COLUMN, DataType::Boolean, false),
        Arc::new(arrow_array::BooleanArray::from(vec![false; 50])),
    ));
    let terms = terms(TWO, 50, true);
    let plain = foreign(columns.clone(), |e| e, |w| w.set_dictionary_enabled(false));
    assert_eq!(open(&plain, &terms).unwrap()[0].num_rows(), 50);
    let snappy = foreign(
        columns.clone(),
        |e| e,
        |w| w.set_dictionary_enabled(false).set_compression(Compression::SNAPPY),
    );
    assert_eq!(open(&snappy, &terms), Err(LayoutError::Compression { column: 0 }.into()));
    let dictionary = foreign(columns, |e| e, |w| w.set_dictionary_enabled(true));
    assert_eq!(open(&dictionary, &terms), Err(LayoutError::Compression { column: 0 }.into()));
}

#[test]
fn encodings_that_expand_are_refused() {
    let terms = terms(TWO, 50, false);
    for encoding in [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        let sealed = foreign(
            two_columns(false),
            |e| e,
            |w| w.set_dictionary_enabled(false).set_column_encoding("lot".into(), encoding),
        );
        assert_eq!(open(&sealed, &terms), Err(LayoutError::Compression { column: 0 }.into()));
    }
    // A dictionary of one value for many rows expands too, within the limit that the reader is given.
    let columns: Vec<(Field, ArrayRef)> = vec![(
        Field::new("lot", DataType::Utf8, false),
        Arc::new(StringArray::from(vec!["x".repeat(10_000); 50_000])),
    )];
    let sealed = foreign(columns, |e| e, |w| w.set_dictionary_enabled(true));
    assert!(sealed.len() < 100_000);
    let wide = fixture::terms(r#""lot text(10000)""#, 50_000, false);
    let error =
        TableReader::open(Bytes::from(sealed), &keys(), &wide, 1 << 20).unwrap().read_all().unwrap_err();
    assert_eq!(error, LayoutError::Expansion { limit: 1 << 20 }.into());
}

#[test]
fn a_decimal_with_too_many_digits_is_refused() {
    let agreed = terms(r#""amount decimal(3,0)""#, 10, false);
    // Parquet stores decimal(3,0) and decimal(4,0) alike; the declared precision is the writer's word.
    let amounts =
        arrow_array::Decimal128Array::from(vec![999, -999, 1000]).with_precision_and_scale(3, 0).unwrap();
    let batch = RecordBatch::try_new(agreed.schema().clone(), vec![Arc::new(amounts.clone())]).unwrap();
    let mut writer = TableWriter::new(Vec::new(), &keys(), &agreed).unwrap();
    let error = ValueError::TooPrecise { column: "amount".into(), row: 2 };
    assert_eq!(writer.write(&batch), Err(error.clone().into()));
    let columns: Vec<(Field, ArrayRef)> =
        vec![(Field::new("amount", DataType::Decimal128(3, 0), false), Arc::new(amounts))];
    let sealed = foreign(columns, |e| e, |w| w);
    assert_eq!(open(&sealed, &agreed), Err(error.into()));
}

#[test]
fn cut_files_and_other_files_are_refused() {
    let terms = terms(ALL_TYPES, 100, false);
    let sealed = seal(&terms, &[rows(&terms, 5)]);
    for end in (0..sealed.len()).step_by(7) {
        assert!(open(&sealed[..end], &terms).is_err(), "cut at {end}");
    }
    for other in [&b""[..], b"PAR1", b"PAREPARE", &[0; 100], b"age-encryption.org/v1\n"] {
        assert_eq!(open(other, &terms), Err(LayoutError::NotEncryptedParquet.into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is changed: the same rows (bytes that nothing reads) or a typed error.
    #[test]
    fn changed_bytes_never_change_rows(at in any::<prop::sample::Index>(), mask in 1..=255_u8) {
        let terms = terms(TWO, 50, false);
        let mut sealed = foreign(two_columns(false), |e| e, |w| w);
        let genuine = open(&sealed, &terms).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= mask;
        match open(&sealed, &terms) {
            Ok(rows) => prop_assert_eq!(rows, genuine),
            Err(error) => prop_assert_ne!(error, OpenTableError::Library),
        }
    }
}
