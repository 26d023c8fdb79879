//! 10,000 random mutations of each format: a typed error with a place in the text, or a value whose bytes are those given.

use std::collections::BTreeSet;

use entente_agreement::{
    Agreement, InputSet, KnownParties, Manifest, Namespace, Request, RequestTerms, SignKey, Table, TextError,
    Value, diff,
};
use proptest::prelude::*;

use crate::support::{AUCTION, Signer, agreement, inputs, name, sign_manifest, terms};

const MUTATIONS: usize = 10_000;

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below the bound, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        const LIKELY: &[u8] = b"\"'[]=.#,\n \\\t\r{}_-+:0123456789aefZT\0\x7f\x80\xff";
        if self.below(3) == 0 {
            u8::try_from(self.below(256)).unwrap()
        } else {
            LIKELY[self.below(LIKELY.len())]
        }
    }
}

fn mutate(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.below(bytes.len());
        match random.below(9) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.byte()),
            4 => bytes.truncate(at),
            5 => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let (one, two) = (random.below(lines.len()), random.below(lines.len()));
                match random.below(3) {
                    0 => lines.swap(one, two),
                    1 => drop(lines.remove(one)),
                    _ => lines.insert(two, lines[one].clone()),
                }
                bytes = lines.concat();
            }
        }
    }
    bytes
}

fn in_the_text(error: &TextError, text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let line = usize::try_from(error.line()).unwrap();
    let column = usize::try_from(error.column()).unwrap();
    assert!((1..=lines.len().max(1)).contains(&line), "{error}");
    assert!(column >= 1 && column <= lines[line - 1].len() + 1, "{error}");
    assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")));
}

#[test]
fn agreements() {
    let original = agreement();
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut taken, mut kinds) = (0, BTreeSet::new());
    for _ in 0..MUTATIONS {
        let text = mutate(&mut random, AUCTION.as_bytes());
        match Agreement::parse(&text) {
            Ok(agreement) => {
                taken += 1;
                assert_eq!(agreement.bytes(), text);
                // What we take every TOML reader takes.
                let text = std::str::from_utf8(&text).unwrap();
                text.parse::<toml_edit::DocumentMut>().unwrap();
                assert!(!agreement.sentences().to_string().is_empty());
                assert!(!diff(&original, &agreement).to_string().is_empty());
            }
            Err(error) => {
                in_the_text(&error, &text);
                kinds.insert(format!("{:?}", std::mem::discriminant(error.kind())));
            }
        }
    }
    assert!(taken > 100, "only {taken} were taken");
    assert!(kinds.len() > 20, "only {} kinds of error", kinds.len());
}

fn generated<T: PartialEq + std::fmt::Debug>(
    original: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, TextError>,
    bytes: impl Fn(&T) -> &[u8],
) {
    let value = parse(original).unwrap();
    let mut random = Random(0x0dd0_5eed_0dd0_5eed);
    for _ in 0..MUTATIONS {
        let text = mutate(&mut random, original);
        match parse(&text) {
            Ok(other) => {
                assert_eq!(bytes(&other), text);
                assert_eq!(other == value, text == original);
            }
            Err(error) => in_the_text(&error, &text),
        }
    }
}

#[test]
fn manifests() {
    let signed = sign_manifest(&terms(&agreement(), "bids-ada"));
    generated(signed.manifest().bytes(), Manifest::parse, Manifest::bytes);
}

#[test]
fn input_sets() {
    let agreement = agreement();
    let signed = inputs(&agreement, &[sign_manifest(&terms(&agreement, "bids-ada"))]);
    generated(signed.set().bytes(), InputSet::parse, InputSet::bytes);
}

fn request_terms(parameters: Table) -> RequestTerms {
    let agreement = agreement();
    RequestTerms {
        agreement: agreement.digest(),
        inputs: agreement.digest(),
        analysis: name("auction"),
        runner: name("harbour"),
        number: 7,
        parameters,
    }
}

#[test]
fn requests() {
    let mut parameters = Table::new();
    parameters.insert("query", Value::Text("SELECT \"a\"\nFROM t".to_owned())).unwrap();
    parameters.insert("limit", Value::Integer(10)).unwrap();
    parameters.insert("days", Value::List(vec![Value::Integer(1), Value::Integer(2)])).unwrap();
    let mut row = Table::new();
    row.insert("exact", Value::Flag(true)).unwrap();
    parameters.insert("rows", Value::Tables(vec![row])).unwrap();
    let request = Request::new(&request_terms(parameters)).unwrap();
    generated(request.bytes(), Request::parse, Request::bytes);
}

#[test]
fn signatures_keys_and_known_parties() {
    let ada = Signer::of("ada");
    let message = b"message";
    let armored = ada.sign(Namespace::Inputs, message);
    let line = KnownParties::line(&name("ada"), ada.key());
    let mut random = Random(0x00c0_ffee_00c0_ffee);
    for _ in 0..MUTATIONS {
        let text = mutate(&mut random, &armored);
        if ada.key().verify(Namespace::Inputs, message, &text).is_ok() {
            // Only line breaks may differ.
            let plain = |text: &[u8]| text.iter().copied().filter(|byte| *byte != b'\n').collect::<Vec<u8>>();
            assert_eq!(plain(&text), plain(&armored));
        }
        let text = mutate(&mut random, line.as_bytes());
        if let Ok(known) = KnownParties::parse(&text) {
            assert!(known.iter().all(|entry| SignKey::from_openssh(&entry.key().to_openssh()).is_ok()));
        }
        let key = mutate(&mut random, ada.key().blob());
        if let Ok(key) = SignKey::from_blob(&key) {
            assert_eq!(SignKey::from_openssh(&key.to_openssh()).unwrap(), key);
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,8}"
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -\\[\\]-~\n]{0,60}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Flag),
    ]
}

fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => scalar(),
        1 => proptest::collection::vec("[ -!#-&(-\\[\\]-~]{0,20}".prop_map(Value::Text), 0..4).prop_map(Value::List),
        1 => proptest::collection::vec(any::<i64>().prop_map(Value::Integer), 0..4).prop_map(Value::List),
    ]
}

fn table(entries: Vec<(String, Value)>) -> Table {
    let mut table = Table::new();
    for (key, value) in entries {
        table.insert(&key, value).unwrap();
    }
    table
}

fn tables() -> impl Strategy<Value = Table> {
    let leaf = proptest::collection::vec((key(), plain_value()), 0..4).prop_map(table);
    let node = leaf.prop_recursive(2, 12, 3, |inner| {
        let value = prop_oneof![
            3 => plain_value(),
            1 => inner.clone().prop_map(Value::Table),
            1 => proptest::collection::vec(inner, 1..3).prop_map(Value::Tables),
        ];
        proptest::collection::vec((key(), value), 0..4).prop_map(table)
    });
    node.boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is rendered reads as the value that it was rendered from, or cannot be rendered.
    #[test]
    fn parameters_survive(parameters in tables()) {
        match Request::new(&request_terms(parameters.clone())) {
            Ok(request) => {
                prop_assert_eq!(request.parameters(), &parameters);
                let text = std::str::from_utf8(request.bytes()).unwrap();
                prop_assert!(text.parse::<toml_edit::DocumentMut>().is_ok());
            }
            Err(error) => {
                let kind = format!("{:?}", error.kind());
                prop_assert!(kind.starts_with("Unwritable") || kind.starts_with("TooDeep"), "{}", kind);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Agreement::parse(&bytes).is_err());
        prop_assert!(Manifest::parse(&bytes).is_err());
    }
}
