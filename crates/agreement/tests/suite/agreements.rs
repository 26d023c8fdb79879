//! Agreements: the example reads as written, and every rule of PROTOCOL §§0, 1 has an error of its own, with its place.

use crate::support::{AUCTION, agreement, name};
use entente_agreement::{
    Agreement, Authorize, ColumnType, Format, Nullability, Padding, Presence, Root, TextErrorKind, Value,
};
use entente_attestation::{Digest384, UnixTime};

#[test]
fn the_example_reads_as_written() {
    let agreement = agreement();
    assert_eq!(agreement.bytes(), AUCTION.as_bytes());
    assert_eq!(agreement.digest(), Digest384::of(AUCTION.as_bytes()));
    assert_eq!(agreement.serial().to_string(), "8f14e45fceea167a5a36dedd4bea2543");
    assert_eq!(agreement.supersedes(), None);
    assert!(matches!(agreement.root(), Root::Simulated { ca_sha256 } if ca_sha256[0] == 0x5f));
    assert_eq!(agreement.parties().len(), 3);
    let harbour = agreement.party(&name("harbour")).unwrap();
    assert_eq!(harbour.sign_key(), crate::support::Signer::of("harbour").key());
    let image = agreement.image(&name("auction")).unwrap();
    assert_eq!(*image.measurements().pcr1(), Digest384::of(b"kernel"));
    assert_eq!((image.pcr3(), image.pcr4(), image.pcr8()), (None, None, None));
    let bids = agreement.dataset(&name("bids-bea")).unwrap();
    assert_eq!(
        (bids.format(), bids.padding(), bids.presence()),
        (Format::Parquet, Padding::ToMaximum, Presence::Optional)
    );
    assert_eq!((bids.max_bytes(), bids.max_rows()), (1 << 20, 1000));
    assert_eq!(bids.key().account(), "444455556666");
    let amount = bids.schema().column("amount").unwrap();
    assert_eq!(amount.kind(), ColumnType::Decimal { precision: 18, scale: 2 });
    assert_eq!(amount.nullability(), Nullability::Never);
    assert_eq!(agreement.dataset(&name("reserves")).unwrap().presence(), Presence::Required);
    let analysis = agreement.analysis(&name("auction")).unwrap();
    assert_eq!(analysis.authorize(), Authorize::Inputs);
    assert_eq!((analysis.rounds(), analysis.memory_mib()), (1, 256));
    assert_eq!(analysis.outputs().len(), 3);
    assert_eq!(analysis.outputs()[0].file_name(), "outcome.harbour.age");
    assert_eq!(analysis.parameters().tables("lot").unwrap()[1].text("id").unwrap(), "berth-2");
    assert_eq!(analysis.disclosure().value("winner"), Some(&Value::Text("named".to_owned())));
    assert_eq!(agreement.owners(analysis), [name("ada"), name("bea"), name("harbour")]);
}

#[test]
fn the_window_is_half_open() {
    let agreement = agreement();
    let window = agreement.window();
    let second = |text: &str| UnixTime::parse_rfc3339(text).unwrap();
    assert!(!window.contains(second("2026-10-31T23:59:59Z")));
    assert!(window.contains(second("2026-11-01T00:00:00Z")));
    assert!(window.contains(second("2026-11-30T23:59:59Z")));
    assert!(!window.contains(second("2026-12-01T00:00:00Z")));
}

/// Replaces the first `from` of the example, which must be there.
fn changed(from: &str, to: &str) -> Vec<u8> {
    assert!(AUCTION.contains(from), "not in the example: {from}");
    AUCTION.replacen(from, to, 1).into_bytes()
}

/// What becomes of the example with one thing replaced: `LINE:COLUMN KIND`, and the sentence.
fn refusal(from: &str, to: &str) -> String {
    let error = Agreement::parse(&changed(from, to)).expect_err(&format!("{from} -> {to} was taken"));
    format!("{error}\n    {:?}", error.kind())
}

const NULLS: &str =
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn each_rule_has_its_error() {
    let harbour_sign = "AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    let ada_sign = "AAAAC3NzaC1lZDI1NTE5AAAAIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    let ada_result = "age1q549qae6erv3wuljmjtx9cf0phh7j90yzku2rj8zpfdr664jhppsrj44kg";
    let bea_result = "age1r9lu93t8msp7u24d7rkcv6qa4sjd4fmws0992kr4m5a7wdmw2vrq4tn22d";
    let pcr1 = Digest384::of(b"kernel").to_string();
    let long = format!("# {}", "x".repeat(199));
    let long_name = "a".repeat(41);
    let cases: &[(&str, &str)] = &[
        // bytes and lines
        ("# A sealed", "# A \tsealed"),
        ("# A sealed", "# A \\sealed"),
        ("# A sealed", "# A séaled"),
        ("# A sealed", "# A \u{7f}sealed"),
        ("\n\n# A sealed", "\r\n\n# A sealed"),
        ("# The keys", &long),
        ("type = \"entente/agreement/v1\"", "type = \"entente/manifest/v1\""),
        ("type = \"entente/agreement/v1\"", "type=\"entente/agreement/v1\""),
        ("type = \"entente/agreement/v1\"", "# first\ntype = \"entente/agreement/v1\""),
        // TOML
        ("rounds = 1", "rounds = 1 # one"),
        ("rounds = 1", "rounds.most = 1"),
        ("rounds = 1", "\"rounds\" = 1"),
        ("rounds = 1", "rounds = { most = 1 }"),
        ("rounds = 1", "rounds = 1.0"),
        ("rounds = 1", "rounds = 99999999999999999999"),
        ("rounds = 1", "rounds = 2026-11-01"),
        ("rounds = 1", "rounds = 1\nrounds = 1"),
        ("rounds = 1", "rounds = "),
        ("rounds = 1", "rounds = 01"),
        ("rounds = 1", "rounds"),
        ("rounds = 1", "Rounds = 1"),
        ("[\"harbour\"]", "[[\"harbour\"]]"),
        ("[\"harbour\"]", "[\"harbour\", 1]"),
        ("[\"harbour\"]", "[\"harbour\""),
        ("[analysis.disclosure]", "[analysis.disclosure]\n[analysis.disclosure]"),
        ("[analysis.disclosure]", "[[analysis.disclosure]]"),
        ("[analysis.disclosure]", "[analysis.rounds]\n[analysis.disclosure]"),
        ("[analysis.disclosure]", "[a.b.c.d.e]\n[analysis.disclosure]"),
        ("winner = \"named\"", "winner = \"named"),
        // keys
        ("rounds = 1", "round = 1"),
        ("serial = \"8f14e45fceea167a5a36dedd4bea2543\"\n", ""),
        ("serial = \"8f14e45fceea167a5a36dedd4bea2543\"", "serial = \"8F14e45fceea167a5a36dedd4bea2543\""),
        ("[analysis.disclosure]\nwinner = \"named\"\nparticipation = \"hidden\"\n", ""),
        ("rounds = 1", "rounds = \"1\""),
        ("pad = true", "pad = 1"),
        ("[\"harbour\"]", "\"harbour\""),
        // values
        ("supersedes = \"\"", "supersedes = \"none\""),
        ("not_before = \"2026-11-01T00:00:00Z\"", "not_before = \"2026-11-01\""),
        ("not_before = \"2026-11-01T00:00:00Z\"", "not_before = \"2026-11-31T00:00:00Z\""),
        ("not_after = \"2026-12-01T00:00:00Z\"", "not_after = \"2026-11-01T00:00:00Z\""),
        ("simulated:5f", "simulated:5F"),
        ("root = \"simulated:", "root = \"local:"),
        ("name = \"harbour\"", "name = \"Harbour\""),
        ("name = \"harbour\"", "name = \"-harbour\""),
        ("name = \"harbour\"", &format!("name = \"{long_name}\"")),
        ("name = \"harbour\"", "name = \"\""),
        ("name = \"bea\"", "name = \"ada\""),
        (harbour_sign, ada_sign),
        (ada_result, bea_result),
        (ada_result, "age1q549qae6erv3wuljmjtx9cf0phh7j90yzku2rj8zpfdr664jhppsrj44kh"),
        (ada_result, "AGE1Q549QAE6ERV3WULJMJTX9CF0PHH7J90YZKU2RJ8ZPFDR664JHPPSRJ44KG"),
        ("ssh-ed25519 AAAA", "ssh-dss AAAA"),
        ("ssh-ed25519 AAAA", "ssh-ed25519-cert-v01@openssh.com AAAA"),
        ("ssh-ed25519 AAAA", "ssh-ed448 AAAA"),
        ("ssh-ed25519 AAAA", "ssh-rsa AAAA"),
        ("ssh-ed25519 AAAA", "ssh-ed25519 AAAB"),
        (&pcr1, NULLS),
        (&pcr1, &pcr1[1..]),
        ("pcr2 = ", "pcr3 = "),
        ("owner = \"ada\"", "owner = \"eve\""),
        ("image = \"auction\"", "image = \"other\""),
        ("\"bids-bea\", \"reserves\"]", "\"bids-eve\", \"reserves\"]"),
        ("\"bids-bea\", \"reserves\"]", "\"bids-ada\", \"reserves\"]"),
        ("[\"harbour\"]", "[\"eve\"]"),
        ("[\"harbour\"]", "[]"),
        ("recipient = \"bea\"", "recipient = \"eve\""),
        ("recipient = \"bea\"", "recipient = \"ada\""),
        ("rounds = 1", "rounds = 0"),
        ("rounds = 1", "rounds = -1"),
        ("memory_mib = 256", "memory_mib = 4194305"),
        ("bytes = 65536\n\n[[analysis.output]]", "bytes = 65537\n\n[[analysis.output]]"),
        ("bytes = 65536\n\n[[analysis.output]]", "bytes = 512\n\n[[analysis.output]]"),
        ("authorize = \"inputs\"", "authorize = \"nothing\""),
        ("format = \"parquet\"", "format = \"csv\""),
        ("format = \"parquet\"", "format = \"age\""),
        ("schema = [\"lot text(40)\", \"reserve decimal(18,2)\"]", "schema = []"),
        ("max_rows = 1000", "max_rows = 0"),
        ("\"lot text(40)\"", "\"lot  text(40)\""),
        ("\"lot text(40)\"", "\"lot text\""),
        ("\"lot text(40)\"", "\"lot text(0)\""),
        ("\"lot text(40)\"", "\"lot text(040)\""),
        ("\"lot text(40)\"", "\"Lot text(40)\""),
        ("\"lot text(40)\"", "\"entente_pad boolean\""),
        ("\"lot text(40)\"", "\"lot text(40) NULL\""),
        ("\"lot text(40)\"", "\"units text(40)\""),
        ("decimal(18,2)", "decimal(39,2)"),
        ("decimal(18,2)", "decimal(2,3)"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms:eu-central-1:111122223333:alias/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:s3:eu-central-1:111122223333:key/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms:cn-north-1:111122223333:key/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms:eu-central-1:1111:key/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms:*:111122223333:key/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms:eu-central-1:111122223333:key/a/"),
        ("arn:aws:kms:eu-central-1:111122223333:key/", ""),
    ];
    let mut report = String::new();
    for (from, to) in cases {
        report.push_str(&format!("{:?} -> {:?}\n    {}\n", cut(from), cut(to), refusal(from, to)));
    }
    insta::assert_snapshot!(report);
}

fn cut(text: &str) -> &str {
    text.get(..60).unwrap_or(text)
}

#[test]
fn ends_and_sizes() {
    let kind = |bytes: &[u8]| Agreement::parse(bytes).unwrap_err().kind().clone();
    let whole = AUCTION.as_bytes();
    assert_eq!(kind(b""), TextErrorKind::Empty);
    assert_eq!(kind(b"\n"), TextErrorKind::BlankEnd);
    assert_eq!(kind(&whole[..whole.len() - 1]), TextErrorKind::NoFinalNewline);
    assert_eq!(kind(&[whole, b"\n"].concat()), TextErrorKind::BlankEnd);
    assert_eq!(kind(&[b"\xEF\xBB\xBF", whole].concat()), TextErrorKind::ByteOrderMark);
    assert_eq!(kind(&[whole, b"\0\n"].concat()), TextErrorKind::ByteNotAllowed { byte: 0 });
    let comment = format!("# {}\n", "x".repeat(100));
    let mut large = AUCTION.to_owned();
    while large.len() <= 256 * 1024 {
        large.push_str(&comment);
    }
    assert_eq!(kind(large.as_bytes()), TextErrorKind::TooLarge { found: large.len() });
    large.truncate(large.len() - comment.len());
    assert!(Agreement::parse(large.as_bytes()).is_ok());
}

/// Deep nesting is refused before it can exhaust the stack.
#[test]
fn nesting_is_bounded() {
    let brackets = "[\n".repeat(120_000);
    let text = format!("type = \"entente/agreement/v1\"\nserial = {brackets}");
    let error = Agreement::parse(text.as_bytes()).unwrap_err();
    assert_eq!(*error.kind(), TextErrorKind::NestedList);
    let text = format!("type = \"entente/agreement/v1\"\n[{}a]\n", "a.".repeat(90));
    let error = Agreement::parse(text.as_bytes()).unwrap_err();
    assert_eq!(*error.kind(), TextErrorKind::TooDeep { limit: 4 });
}

#[test]
fn a_thousand_lots_fit() {
    let lots: String = (0..1000)
        .map(|lot| format!("[[analysis.parameters.lot]]\nid = \"parcel-{lot:04}\"\ncurrency = \"EUR\"\nunits = 25\nreserve = \"1250.00\"\n\n"))
        .collect();
    let text = AUCTION.replacen("[analysis.disclosure]", &format!("{lots}[analysis.disclosure]"), 1);
    assert!(text.len() < 256 * 1024);
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let analysis = agreement.analysis(&name("auction")).unwrap();
    assert_eq!(analysis.parameters().tables("lot").unwrap().len(), 1002);
}

#[test]
fn long_keys_go_on_several_lines() {
    let single =
        "sign_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU\"";
    let several = "sign_key = \"\"\"\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIE5dw6o\nfRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU\n\"\"\"";
    let agreement = Agreement::parse(&changed(single, several)).unwrap();
    assert_eq!(agreement.party(&name("ada")).unwrap().sign_key(), crate::support::Signer::of("ada").key());
}

#[test]
fn further_registers_may_be_named_but_not_zero() {
    let text = changed("pcr2 = ", &format!("pcr8 = \"{}\"\npcr2 = ", Digest384::of(b"certificate")));
    let agreement = Agreement::parse(&text).unwrap();
    assert_eq!(agreement.image(&name("auction")).unwrap().pcr8(), Some(Digest384::of(b"certificate")));
    let text = changed("pcr2 = ", &format!("pcr8 = \"{NULLS}\"\npcr2 = "));
    let error = Agreement::parse(&text).unwrap_err();
    assert_eq!(*error.kind(), TextErrorKind::ZeroMeasurement { key: "pcr8" });
}

#[test]
fn a_blob_has_no_rows() {
    let text = AUCTION.replacen("format = \"parquet\"", "format = \"age\"", 1).replacen(
        "schema = [\"lot text(40)\", \"amount decimal(18,2)\", \"units int64\"]",
        "schema = []",
        1,
    );
    let error = Agreement::parse(text.as_bytes()).unwrap_err();
    assert_eq!(*error.kind(), TextErrorKind::RowsInBlob { key: "max_rows", instead: "0" });
    let text = text.replacen("max_rows = 1000", "max_rows = 0", 1);
    assert!(Agreement::parse(text.as_bytes()).is_ok());
}

/// Texts of the largest size that make a careless reader slow: each is refused, and all of them in seconds.
#[test]
fn large_texts_are_refused_in_time() {
    let patterns = [
        "[a]\n",
        "[[a]]\n",
        "[[a]]\nb = 1\n",
        "[a.b.c.d]\n",
        "a = [\n",
        "a = \"\"\"\n",
        "a = '''\n",
        "\"\"\"\n",
        "'\n",
        "\"\n",
        "#\n",
        "\n#\n",
        "a = 1\n",
        "=\n",
        "{\n",
        "]\n",
        ".\n",
        ",\n",
        "a = {\n",
        "a = [1,\n",
        "a =\n",
        "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
        "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1\n",
        "[[party]]\nname = \"x\"\n",
        "[[analysis.parameters.lot]]\nid = \"x\"\n",
    ];
    for pattern in patterns {
        let mut text = "type = \"entente/agreement/v1\"\n".to_owned();
        while text.len() + pattern.len() < 256 * 1024 {
            text.push_str(pattern);
        }
        assert!(Agreement::parse(text.as_bytes()).is_err(), "{pattern:?}");
        // the same with distinct keys
        let mut text = "type = \"entente/agreement/v1\"\n".to_owned();
        let mut number = 0;
        while text.len() + pattern.len() + 10 < 256 * 1024 {
            text.push_str(&pattern.replacen('a', &format!("a{number}"), 1));
            number += 1;
        }
        assert!(Agreement::parse(text.as_bytes()).is_err(), "{pattern:?}");
    }
}
