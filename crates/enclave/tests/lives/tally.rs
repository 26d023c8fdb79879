//! The smallest analysis: how many rows or bytes each dataset has.

use entente_agreement::Agreement;
use entente_analysis::{
    Analysis, Cells, ColumnRule, Confidential, Domain, Input, InputTables, Notice, Outcome, OutputRule,
    ParameterError, ProposedOutput, ProposedTable, Rules, SeedStream, TableRule,
};

use crate::world::DATASETS;

pub(crate) struct Tally {
    rules: Rules,
    outputs: Vec<(entente_agreement::Name, entente_agreement::Name)>,
}

impl Analysis for Tally {
    const NAME: &'static str = "tally";

    fn configure(_: &Agreement, analysis: &entente_agreement::Analysis) -> Result<Self, ParameterError> {
        analysis.parameters().only(&[])?;
        let column = |name, domain| ColumnRule { name, domain, cells: Cells::Filled };
        let datasets = DATASETS.map(|(dataset, _)| dataset);
        let files = vec![
            TableRule {
                file: "tally.csv",
                columns: vec![
                    column("dataset", Domain::listed(datasets)),
                    column("state", Domain::listed(["absent", "void", "table", "blob"])),
                    column("size", Domain::Count(i64::MAX)),
                ],
                max_rows: 10,
            },
            TableRule {
                file: "tie.csv",
                columns: vec![column("tie", Domain::Hex { bytes: 48 })],
                max_rows: 1,
            },
        ];
        let rules = Rules::new(vec![OutputRule { output: "tally", files }], []);
        rules.check(analysis)?;
        let outputs = analysis
            .outputs()
            .iter()
            .map(|output| (output.name().clone(), output.recipient().clone()))
            .collect();
        Ok(Self { rules, outputs })
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn sentences(&self) -> Vec<String> {
        vec!["Each recipient learns how large each dataset is.".to_owned()]
    }

    fn run(&self, inputs: InputTables, seed: &dyn SeedStream) -> Confidential<Outcome> {
        let mut notices = Vec::new();
        let mut rows = Vec::new();
        for dataset in &inputs {
            let (state, size) = match dataset.input() {
                Input::Absent => ("absent", 0),
                Input::Void(reason) => {
                    notices.push(Notice::dataset(dataset.name().clone(), reason.as_str()));
                    ("void", 0)
                }
                Input::Table(batches) => ("table", batches.iter().map(|batch| batch.num_rows()).sum()),
                Input::Blob(bytes) => ("blob", bytes.len()),
            };
            rows.push((dataset.name().to_string(), state, i64::try_from(size).unwrap()));
        }
        let tie: String = seed.draw("tie").iter().map(|byte| format!("{byte:02x}")).collect();
        let output = |(name, recipient): &(entente_agreement::Name, entente_agreement::Name)| {
            let tally = ProposedTable::new("tally.csv")
                .text("dataset", rows.iter().map(|row| &row.0))
                .text("state", rows.iter().map(|row| row.1))
                .integers("size", rows.iter().map(|row| Some(row.2)));
            let tie = ProposedTable::new("tie.csv").text("tie", [&tie]);
            ProposedOutput::of(name.clone(), recipient.clone(), vec![tally, tie])
        };
        Confidential::new(Outcome::new(self.outputs.iter().map(output).collect(), notices))
    }
}
