//! The gate: whatever is proposed, the results are complete, and nothing undeclared is in them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use entente_agreement::{Agreement, Name};
use entente_analysis::{
    Cells, ColumnRule, Confidential, Domain, Notice, Outcome, OutputRule, ProposedOutput, ProposedTable,
    RowNumbers, Rules, TableRule,
};
use entente_disclosure::{Released, Results, Verdict, disclose};
use proptest::prelude::*;

const AGREEMENT: &str = r#"type = "entente/agreement/v1"
serial = "55555555555555555555555555555555"
supersedes = ""
not_before = "2026-01-01T00:00:00Z"
not_after = "2027-01-01T00:00:00Z"
root = "simulated:abababababababababababababababababababababababababababababababab"

[[party]]
name = "north"
sign_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIGVS4v8HJrsj/Kne+S9x5JP8Bz4GSpnNYKDNdsncx5u"
result_key = "age1edjzjp42drjnfmqa7q4guw95duvrtg500qez8rsm6kfcwg5wm4us9uyxsc"

[[party]]
name = "south"
sign_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINZAiKOONwYhaWUKq8s9OOmZIod6TFdmTHQMxjA0L3xM"
result_key = "age170vjfaskunayrmk0jpwx2gnmq7ulk7huurxrdwv4aqhfwz6knsfq0se268"

[[image]]
name = "survey"
pcr0 = "PCR0"
pcr1 = "PCR1"
pcr2 = "PCR2"

[[dataset]]
name = "answers"
owner = "north"
format = "age"
schema = []
max_bytes = 1000
max_rows = 0
pad = false
key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

[[analysis]]
name = "survey"
image = "survey"
datasets = ["answers"]
authorize = "inputs"
runners = ["north"]
memory_mib = 64

[analysis.parameters]

[analysis.disclosure]

[[analysis.output]]
recipient = "south"
name = "report"
bytes = 8192

[[analysis.output]]
recipient = "north"
name = "report"
bytes = 8192
"#;

fn agreement() -> Agreement {
    let text = AGREEMENT
        .replace("PCR0", &"1".repeat(96))
        .replace("PCR1", &"2".repeat(96))
        .replace("PCR2", &"3".repeat(96));
    Agreement::parse(text.as_bytes()).unwrap()
}

fn rules() -> Rules {
    let columns = vec![
        ColumnRule { name: "group", domain: Domain::listed(["a", "b", "c"]), cells: Cells::Filled },
        ColumnRule { name: "count", domain: Domain::Count(1000), cells: Cells::MayBeEmpty },
    ];
    let output = OutputRule {
        output: "report",
        files: vec![TableRule { file: "groups.csv", columns, max_rows: 1000 }],
    };
    Rules::new(vec![output], ["row-is-bad"])
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn table(rows: &[(&str, Option<i64>)]) -> ProposedTable {
    ProposedTable::new("groups.csv")
        .text("group", rows.iter().map(|row| row.0))
        .integers("count", rows.iter().map(|row| row.1))
}

fn for_party(party: &str, tables: Vec<ProposedTable>) -> ProposedOutput {
    ProposedOutput::of(name("report"), name(party), tables)
}

fn release(outputs: Vec<ProposedOutput>, notices: Vec<Notice>) -> Released<Results> {
    let agreement = agreement();
    disclose(
        &agreement,
        &agreement.analyses()[0],
        &rules(),
        Confidential::new(Outcome::new(outputs, notices)),
    )
}

/// Verdicts for south and north, in the agreement's order.
fn verdicts(released: &Released<Results>) -> [Verdict; 2] {
    let found: Vec<_> =
        released.iter().map(|result| (result.recipient().as_str(), result.verdict())).collect();
    match found.as_slice() {
        [("south", south), ("north", north)] => {
            for result in released.iter() {
                assert_eq!(result.files().is_empty(), result.verdict() == Refused);
            }
            [*south, *north]
        }
        other => panic!("not the agreement's outputs: {other:?}"),
    }
}

fn file(released: &Released<Results>, recipient: &str, file: &str) -> String {
    let result = released.iter().find(|result| result.recipient().as_str() == recipient).unwrap();
    let found = result.files().iter().find(|entry| entry.name() == file).unwrap();
    String::from_utf8(found.bytes().to_vec()).unwrap()
}

use Verdict::{Refused, Released as Let};

#[test]
fn what_is_declared_goes_out_in_canonical_order() {
    let south = table(&[("c", Some(1)), ("a", None), ("b", Some(1000)), ("a", Some(7))]);
    let released =
        release(vec![for_party("north", vec![table(&[])]), for_party("south", vec![south])], Vec::new());
    assert_eq!(verdicts(&released), [Let, Let]);
    assert_eq!(file(&released, "south", "groups.csv"), "group,count\na,\na,7\nb,1000\nc,1\n");
    assert_eq!(file(&released, "north", "groups.csv"), "group,count\n");
    assert_eq!(file(&released, "north", "notices.csv"), "dataset,reason,count,rows\n");
}

#[test]
fn what_is_not_declared_is_refused_to_its_recipient_alone() {
    let good = || for_party("north", vec![table(&[("a", Some(1))])]);
    let text = |value: &str| ProposedTable::new("groups.csv").text("group", ["a"]).text("count", [value]);
    let bad: Vec<Vec<ProposedTable>> = vec![
        vec![],
        vec![table(&[]), table(&[])],
        vec![ProposedTable::new("rows.csv").text("group", ["a"]).integers("count", [None])],
        vec![table(&[("d", Some(1))])],
        vec![table(&[("", Some(1))])],
        vec![table(&[("a", Some(1001))])],
        vec![table(&[("a", Some(-1))])],
        vec![text("1,b")],
        vec![text("1\nb,2")],
        vec![text("=1+1")],
        vec![text(" 1")],
        vec![ProposedTable::new("groups.csv").text("group", ["a"])],
        vec![ProposedTable::new("groups.csv").integers("count", [None]).text("group", ["a"])],
        vec![
            ProposedTable::new("groups.csv")
                .text("group", ["a"])
                .integers("count", [None])
                .text("note", ["x"]),
        ],
        vec![ProposedTable::new("groups.csv").text("group", ["a", "b"]).integers("count", [None])],
        vec![
            ProposedTable::new("groups.csv").optional_text("group", [None::<&str>]).integers("count", [None]),
        ],
        vec![table(&vec![("a", None); 1001])],
        // 900 rows are few enough, their bytes are not: 5,400 and the archive's own.
        vec![table(&vec![("a", Some(123)); 900])],
    ];
    for (number, tables) in bad.into_iter().enumerate() {
        let released = release(vec![good(), for_party("south", tables)], Vec::new());
        assert_eq!(verdicts(&released), [Refused, Let], "case {number}");
    }
    let refuses = ProposedOutput::refused(name("report"), name("south"));
    assert_eq!(verdicts(&release(vec![good(), refuses], Vec::new())), [Refused, Let]);
    assert_eq!(verdicts(&release(vec![good()], Vec::new())), [Refused, Let]);
    assert_eq!(verdicts(&release(vec![good(), good()], Vec::new())), [Refused, Refused]);
    assert_eq!(verdicts(&release(Vec::new(), Vec::new())), [Refused, Refused]);
}

#[test]
fn an_output_that_nobody_agreed_to_refuses_everything() {
    for (output, recipient) in [("report", "east"), ("raw", "south"), ("raw", "east")] {
        let extra = ProposedOutput::of(name(output), name(recipient), vec![table(&[])]);
        let good = ["north", "south"].map(|party| for_party(party, vec![table(&[])]));
        let released = release(good.into_iter().chain([extra]).collect(), Vec::new());
        assert_eq!(verdicts(&released), [Refused, Refused]);
    }
}

#[test]
fn the_size_is_the_archive_s() {
    // BINDING 1,536, end 1,024, notices 512 + 512, the file's header 512: 4,096 are left for the file, 12 of them its first line.
    let rows = |count: usize| {
        vec![for_party("north", vec![table(&[])]), for_party("south", vec![table(&vec![("a", None); count])])]
    };
    let fits = (4096 - 12) / 3;
    let agreement = agreement();
    let columns = vec![
        ColumnRule { name: "group", domain: Domain::listed(["a"]), cells: Cells::Filled },
        ColumnRule { name: "count", domain: Domain::Count(1000), cells: Cells::MayBeEmpty },
    ];
    let output = OutputRule {
        output: "report",
        files: vec![TableRule { file: "groups.csv", columns, max_rows: 9999 }],
    };
    let wide = Rules::new(vec![output], []);
    for (count, verdict) in [(fits, Let), (fits + 1, Refused)] {
        let outcome = Confidential::new(Outcome::new(rows(count), Vec::new()));
        let released = disclose(&agreement, &agreement.analyses()[0], &wide, outcome);
        assert_eq!(verdicts(&released), [verdict, Let]);
    }
}

#[test]
fn notices_go_to_the_owner_alone() {
    let both = || ["north", "south"].map(|party| for_party(party, vec![table(&[])])).into_iter().collect();
    let rows = |numbers: &[u64]| {
        let mut rows = RowNumbers::default();
        numbers.iter().for_each(|row| rows.add(*row));
        rows
    };
    let bad = |numbers: &[u64]| Notice::rows(name("answers"), "row-is-bad", rows(numbers));
    let released =
        release(both(), vec![bad(&[2, 3, 9]), Notice::dataset(name("answers"), "dataset-does-not-open")]);
    assert_eq!(verdicts(&released), [Let, Let]);
    assert_eq!(
        file(&released, "north", "notices.csv"),
        "dataset,reason,count,rows\nanswers,dataset-does-not-open,,\nanswers,row-is-bad,3,2-3 9\n"
    );
    assert_eq!(file(&released, "south", "notices.csv"), "dataset,reason,count,rows\n");
    // An undeclared word, or one line too many: the owner's outputs are refused, the other's are not.
    for notices in [vec![Notice::dataset(name("answers"), "secret")], vec![bad(&[1]), bad(&[2])]] {
        assert_eq!(verdicts(&release(both(), notices)), [Let, Refused]);
    }
    // About nothing that there is.
    let released = release(both(), vec![Notice::dataset(name("elsewhere"), "row-is-bad")]);
    assert_eq!(verdicts(&released), [Refused, Refused]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever an analysis proposes: complete results, and what is released keeps to the rules byte by byte.
    #[test]
    fn whatever_is_proposed_the_results_are_complete(
        proposals in prop::collection::vec(
            (
                prop::sample::select(vec!["north", "south", "south", "east"]),
                prop::sample::select(vec!["report", "report", "report", "raw"]),
                prop::collection::vec((prop_oneof![4 => "[abc]", 1 => ".{0,4}"], prop::option::of(-3_i64..1003)), 0..6),
            ),
            0..4,
        ),
    ) {
        let outputs = proposals
            .iter()
            .map(|(recipient, output, rows)| {
                let rows: Vec<_> = rows.iter().map(|(group, count)| (group.as_str(), *count)).collect();
                ProposedOutput::of(name(output), name(recipient), vec![table(&rows)])
            })
            .collect();
        let released = release(outputs, Vec::new());
        let verdicts = verdicts(&released);
        for (recipient, verdict) in ["south", "north"].into_iter().zip(verdicts) {
            if verdict == Let {
                let text = file(&released, recipient, "groups.csv");
                let mut lines: Vec<_> = text.lines().skip(1).collect();
                for line in &lines {
                    let (group, count) = line.split_once(',').unwrap();
                    prop_assert!(["a", "b", "c"].contains(&group));
                    prop_assert!(count.is_empty() || (0..=1000).contains(&count.parse::<i64>().unwrap()));
                }
                let before = lines.clone();
                lines.sort_unstable();
                prop_assert_eq!(before, lines);
            }
        }
    }
}
