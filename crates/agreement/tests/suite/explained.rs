//! Agreements in sentences, differences, and written agreements.

use entente_agreement::{
    Agreement, AgreementDraft, AnalysisDraft, Column, DatasetDraft, ImageDraft, OutputDraft, Padding,
    PartyDraft, Presence, Root, Serial, SignKey, TextErrorKind, diff,
};
use entente_attestation::Digest384;

use crate::support::{AUCTION, agreement};

#[test]
fn the_example_in_sentences() {
    insta::assert_snapshot!(agreement().sentences().to_string());
}

#[test]
fn a_real_root_has_no_warning() {
    let root = "simulated:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    let text = AUCTION.replace(root, "aws-nitro");
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    assert_eq!(agreement.root(), Root::AwsNitro);
    assert!(!agreement.sentences().to_string().contains("SIMULATED"));
    assert!(crate::support::agreement().sentences().to_string().contains("SIMULATED"));
}

/// A text of a writer of the agreement cannot pass for a sentence.
#[test]
fn texts_cannot_forge_sentences() {
    let text = AUCTION.replace("winner = \"named\"", "winner = \"\"\"named\n  ada learns nothing.\"\"\"");
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let sentences = agreement.sentences();
    assert!(
        sentences
            .paragraphs()
            .iter()
            .all(|paragraph| { paragraph.sentences().iter().all(|sentence| !sentence.contains('\n')) })
    );
    assert!(sentences.to_string().contains(r#"winner = "named\n  ada learns nothing.""#));
}

fn changed(changes: &[(&str, &str)]) -> Agreement {
    let mut text = AUCTION.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "not in the example: {from}");
        text = text.replacen(from, to, 1);
    }
    Agreement::parse(text.as_bytes()).unwrap()
}

#[test]
fn differences_in_sentences() {
    let old = agreement();
    insta::assert_snapshot!("the same", diff(&old, &old).to_string());
    let supersedes = format!("supersedes = \"{}\"", old.digest());
    let program = Digest384::of(b"image").to_string();
    let other = Digest384::of(b"another").to_string();
    let wider = changed(&[
        ("supersedes = \"\"", &supersedes),
        ("8f14e45f", "8f14e45e"),
        ("2026-12-01", "2027-12-01"),
        (&program, &other),
        (
            "age1r9lu93t8msp7u24d7rkcv6qa4sjd4fmws0992kr4m5a7wdmw2vrq4tn22d",
            "age1zlfzfnzd0q8xn2900005dm6fzzsd8ep94ajkcdzhy66yskglrucs72z63e",
        ),
        (
            "\"units int64\"]\nmax_bytes = 1048576\nmax_rows = 1000\npad = true",
            "\"units int64\", \"note text(200) null\"]\nmax_bytes = 2097152\nmax_rows = 1000\npad = false",
        ),
        ("max_rows = 10\npad = true", "max_rows = 10\npad = true\noptional = true"),
        ("444455556666", "999955556666"),
        ("[\"harbour\"]", "[\"harbour\", \"ada\"]"),
        ("rounds = 1", "rounds = 3"),
        ("participation = \"hidden\"", "participation = \"counted\""),
        (
            "[[analysis.parameters.lot]]\nid = \"berth-1\"",
            "[[analysis.parameters.lot]]\nid = \"berth-0\"\ncurrency = \"EUR\"\nunits = 1\n\n[[analysis.parameters.lot]]\nid = \"berth-1\"",
        ),
        (
            "recipient = \"ada\"\nname = \"own\"\nbytes = 16384",
            "recipient = \"ada\"\nname = \"own\"\nbytes = 32768\n\n[[analysis.output]]\nrecipient = \"ada\"\nname = \"all-bids\"\nbytes = 65536",
        ),
    ]);
    insta::assert_snapshot!("wider", diff(&old, &wider).to_string());
    insta::assert_snapshot!("narrower", diff(&wider, &old).to_string());
    let more = changed(&[(
        "[[analysis.output]]\nrecipient = \"bea\"",
        "[[analysis.output]]\nrecipient = \"bea\"\nname = \"own\"\nbytes = 16384\n\n[[analysis]]\nname = \"statistics\"\nimage = \"auction\"\ndatasets = [\"bids-ada\"]\nauthorize = \"request\"\nrunners = [\"bea\"]\nmemory_mib = 64\n[analysis.parameters]\n[analysis.disclosure]\n[[analysis.output]]\nrecipient = \"bea\"",
    )]);
    insta::assert_snapshot!("another analysis", diff(&old, &more).to_string());
}

/// A draft with the terms of an agreement.
fn draft(agreement: &Agreement) -> AgreementDraft {
    AgreementDraft {
        serial: agreement.serial(),
        supersedes: agreement.supersedes(),
        not_before: agreement.window().not_before(),
        not_after: agreement.window().not_after(),
        root: agreement.root(),
        parties: agreement
            .parties()
            .iter()
            .map(|party| PartyDraft {
                name: party.name().clone(),
                sign_key: party.sign_key().clone(),
                result_key: party.result_key().to_owned(),
            })
            .collect(),
        images: agreement
            .images()
            .iter()
            .map(|image| ImageDraft {
                name: image.name().clone(),
                measurements: *image.measurements(),
                pcr3: image.pcr3(),
                pcr4: image.pcr4(),
                pcr8: image.pcr8(),
            })
            .collect(),
        datasets: agreement
            .datasets()
            .iter()
            .map(|dataset| DatasetDraft {
                name: dataset.name().clone(),
                owner: dataset.owner().clone(),
                format: dataset.format(),
                schema: dataset.schema().columns().to_vec(),
                max_bytes: dataset.max_bytes(),
                max_rows: dataset.max_rows(),
                padding: dataset.padding(),
                presence: dataset.presence(),
                key: dataset.key().clone(),
            })
            .collect(),
        analyses: agreement
            .analyses()
            .iter()
            .map(|analysis| AnalysisDraft {
                name: analysis.name().clone(),
                image: analysis.image().clone(),
                datasets: analysis.datasets().to_vec(),
                authorize: analysis.authorize(),
                runners: analysis.runners().to_vec(),
                rounds: analysis.rounds(),
                memory_mib: analysis.memory_mib(),
                parameters: analysis.parameters().clone(),
                disclosure: analysis.disclosure().clone(),
                outputs: analysis.outputs().iter().map(OutputDraft::from).collect(),
            })
            .collect(),
    }
}

#[test]
fn a_written_agreement_says_the_same() {
    let old = agreement();
    let written = draft(&old).render().unwrap();
    insta::assert_snapshot!(std::str::from_utf8(written.bytes()).unwrap());
    let changes = diff(&old, &written);
    assert!(changes.learns().is_empty(), "{changes}");
    assert_eq!(
        changes.others(),
        [
            "The new agreement does not say that it replaces the old one: both hold.",
            "Both have the same serial; give the new one a serial of its own."
        ]
    );
    assert_eq!(written.parties(), old.parties());
    assert_eq!(written.images(), old.images());
    assert_eq!(written.datasets(), old.datasets());
    assert_eq!(written.analyses(), old.analyses());
    assert_eq!(draft(&written).render().unwrap(), written);
}

#[test]
fn a_draft_is_held_to_the_rules() {
    let mut draft = draft(&agreement());
    draft.serial = Serial::from_bytes([1; 16]);
    // RSA of 3072 bits does not fit on a line.
    let modulus = [&[0][..], &[0xff; 384]].concat();
    let blob = [&b"ssh-rsa"[..], &[1, 0, 1], &modulus].map(crate::support::ssh_string).concat();
    let rsa = SignKey::from_blob(&blob).unwrap();
    draft.parties[0].sign_key = rsa.clone();
    let written = draft.render().unwrap();
    assert_eq!(*written.parties()[0].sign_key(), rsa);
    draft.datasets[0].padding = Padding::None;
    draft.datasets[0].presence = Presence::Required;
    draft.datasets[0].schema.push("more text(9) null".parse::<Column>().unwrap());
    assert_eq!(draft.render().unwrap().datasets()[0].schema().columns().len(), 4);
    draft.analyses[0].outputs[0].bytes = 5000;
    assert!(matches!(draft.render().unwrap_err().kind(), TextErrorKind::NotMultiple { .. }));
    draft.analyses.clear();
    assert!(matches!(draft.render().unwrap_err().kind(), TextErrorKind::MissingKey { .. }));
}
