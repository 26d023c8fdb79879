//! Rendered policies release to what the agreement says, and to nothing that differs in one thing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use entente_agreement::{Agreement, InputEntry, InputSet, Name};
use entente_attestation::{Digest384, UnixTime, pcr16_for, pcr17_for};
use entente_release::policy::{
    AccessRequest, Action, AttestedRegisters, KeyPolicy, PolicyFault, PrincipalArn, Verdict,
};
use entente_release::{Excess, Release, RenderError, RoundState, audit, render};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Two analyses with an image each, `bids-north` in both.
fn agreement() -> Agreement {
    Agreement::parse(include_bytes!("agreement.toml")).unwrap_or_else(|error| panic_with(&error))
}

#[expect(clippy::panic, reason = "tests")]
fn panic_with(error: &dyn std::fmt::Display) -> ! {
    panic!("{error}")
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn owner() -> PrincipalArn {
    "arn:aws:iam::111122223333:root".parse().unwrap()
}

fn host() -> PrincipalArn {
    "arn:aws:iam::444455556666:role/entente-host".parse().unwrap()
}

fn inputs(agreement: &Agreement, analysis: &str, round: u32, manifest: u8) -> InputSet {
    let entries = vec![
        InputEntry::present(name("bids-north"), name("north"), Digest384::of(&[manifest])),
        InputEntry::absent(name("bids-south"), name("south")),
    ];
    InputSet::new(agreement.digest(), &name(analysis), round, entries).unwrap()
}

/// What an honest enclave and host ask, as parts that a test can change.
#[derive(Clone)]
struct Ask {
    action: Action,
    caller: PrincipalArn,
    registers: BTreeMap<u8, Vec<u8>>,
    context: BTreeMap<String, String>,
    at: UnixTime,
    recipient: bool,
}

impl Ask {
    fn honest(agreement: &Agreement, inputs: &InputSet) -> Self {
        let analysis = agreement.analysis(inputs.analysis()).unwrap();
        let image = agreement.image(analysis.image()).unwrap();
        let mut registers: BTreeMap<u8, Vec<u8>> = (0..16).map(|number| (number, vec![0; 48])).collect();
        let measured = [
            (0, Some(*image.measurements().pcr0())),
            (1, Some(*image.measurements().pcr1())),
            (2, Some(*image.measurements().pcr2())),
            (3, image.pcr3()),
            (4, image.pcr4()),
            (8, image.pcr8()),
            (16, Some(pcr16_for(&agreement.digest()))),
            (17, Some(pcr17_for(&inputs.digest()))),
        ];
        for (number, value) in measured {
            if let Some(value) = value {
                registers.insert(number, value.as_bytes().to_vec());
            }
        }
        let context = [
            ("entente-agreement", agreement.digest().to_string()),
            ("entente-dataset", "bids-north".to_owned()),
            ("entente-sealing", "00112233445566778899aabbccddeeff".to_owned()),
        ];
        Self {
            action: Action::Decrypt,
            caller: host(),
            registers,
            context: context.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            at: UnixTime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap(),
            recipient: true,
        }
    }

    fn verdict(&self, policy: &KeyPolicy) -> Verdict {
        let registers: AttestedRegisters = self.registers.clone().into_iter().collect();
        let mut request = AccessRequest::new(self.action, &self.caller, &KEY.parse().unwrap(), self.at)
            .with_encryption_context(&self.context);
        if self.recipient {
            request = request.with_recipient(&registers);
        }
        policy.evaluate(&request).verdict()
    }
}

#[test]
fn exactly_what_was_agreed_is_released() {
    let agreement = agreement();
    for analysis in ["auction", "report"] {
        let inputs = inputs(&agreement, analysis, 1, 1);
        let policy = render(&agreement, &inputs, &name("bids-north"), &owner(), &host()).unwrap();
        assert_eq!(KeyPolicy::parse(&policy.to_json()).unwrap(), policy);
        let honest = Ask::honest(&agreement, &inputs);
        assert_eq!(honest.verdict(&policy), Verdict::Allowed);

        let mut named = vec![0, 1, 2, 16, 17];
        if analysis == "report" {
            named.extend([3, 4, 8]);
        }
        for register in named {
            let mut ask = honest.clone();
            ask.registers.get_mut(&register).unwrap()[47] ^= 1;
            assert_eq!(ask.verdict(&policy), Verdict::DeniedByDefault, "PCR{register} differs");
            ask.registers.remove(&register);
            assert_eq!(ask.verdict(&policy), Verdict::DeniedByDefault, "PCR{register} is absent");
        }
        for change in [
            (|ask: &mut Ask| ask.recipient = false) as fn(&mut Ask),
            |ask| ask.caller = "arn:aws:iam::444455556666:role/other".parse().unwrap(),
            |ask| ask.action = Action::GenerateDataKey,
            |ask| ask.action = Action::ReEncryptFrom,
            |ask| ask.action = Action::CreateGrant,
            |ask| ask.action = Action::PutKeyPolicy,
            |ask| ask.at = UnixTime::parse_rfc3339("2027-01-01T00:00:00Z").unwrap(),
            |ask| drop(ask.context.insert("entente-dataset".to_owned(), "bids-south".to_owned())),
            |ask| drop(ask.context.insert("entente-agreement".to_owned(), "0".repeat(96))),
            |ask| drop(ask.context.remove("entente-agreement")),
            |ask| drop(ask.context.remove("entente-dataset")),
            |ask| {
                for register in 0..3 {
                    ask.registers.insert(register, vec![0; 48]);
                }
            },
        ] {
            let mut ask = honest.clone();
            change(&mut ask);
            assert_eq!(ask.verdict(&policy), Verdict::DeniedByDefault);
        }
        // The last millisecond of the window.
        let mut ask = honest.clone();
        ask.at = UnixTime::parse_rfc3339("2026-12-31T23:59:59.999Z").unwrap();
        assert_eq!(ask.verdict(&policy), Verdict::Allowed);
        // The owner administers.
        ask.caller = owner();
        ask.recipient = false;
        ask.action = Action::PutKeyPolicy;
        assert_eq!(ask.verdict(&policy), Verdict::Allowed);
    }
}

#[test]
fn the_policy_of_protocol_section_5_to_the_letter() {
    let agreement = agreement();
    let inputs = inputs(&agreement, "auction", 1, 1);
    let policy = render(&agreement, &inputs, &name("bids-north"), &owner(), &host()).unwrap();
    let expected = format!(
        r#"{{
  "Version": "2012-10-17",
  "Statement": [
    {{
      "Sid": "Entente owner",
      "Effect": "Allow",
      "Principal": {{
        "AWS": "arn:aws:iam::111122223333:root"
      }},
      "Action": "kms:*",
      "Resource": "*"
    }},
    {{
      "Sid": "Entente releases bidsXnorth to auction round 1 of {short}",
      "Effect": "Allow",
      "Principal": {{
        "AWS": "arn:aws:iam::444455556666:role/entente-host"
      }},
      "Action": "kms:Decrypt",
      "Resource": "*",
      "Condition": {{
        "StringEqualsIgnoreCase": {{
          "kms:RecipientAttestation:ImageSha384": "{pcr0}",
          "kms:RecipientAttestation:PCR0": "{pcr0}",
          "kms:RecipientAttestation:PCR1": "{pcr1}",
          "kms:RecipientAttestation:PCR2": "{pcr2}",
          "kms:RecipientAttestation:PCR16": "{pcr16}",
          "kms:RecipientAttestation:PCR17": "{pcr17}"
        }},
        "StringEquals": {{
          "kms:EncryptionContext:entente-agreement": "{digest}",
          "kms:EncryptionContext:entente-dataset": "bids-north"
        }},
        "DateLessThan": {{
          "aws:CurrentTime": "2027-01-01T00:00:00Z"
        }}
      }}
    }}
  ]
}}
"#,
        short = &agreement.digest().to_string()[..16],
        pcr0 = "a0".repeat(48),
        pcr1 = "a1".repeat(48),
        pcr2 = "a2".repeat(48),
        pcr16 = pcr16_for(&agreement.digest()),
        pcr17 = pcr17_for(&inputs.digest()),
        digest = agreement.digest(),
    );
    assert_eq!(policy.to_indented_json(), expected);
}

#[test]
fn what_does_not_belong_together_is_not_rendered() {
    let agreement = agreement();
    let good = inputs(&agreement, "auction", 1, 1);
    let entries = good.datasets().to_vec();
    let release = |inputs: &InputSet, dataset: &str, host: &PrincipalArn| {
        Release::of(&agreement, inputs, &name(dataset), host).unwrap_err()
    };
    let other = InputSet::new(Digest384::of(b"x"), &name("auction"), 1, entries.clone()).unwrap();
    let other_agreement =
        RenderError::OtherAgreement { expected: agreement.digest(), found: Digest384::of(b"x") };
    assert_eq!(release(&other, "bids-north", &host()), other_agreement);
    let unknown = InputSet::new(agreement.digest(), &name("x"), 1, entries.clone()).unwrap();
    assert_eq!(
        release(&unknown, "bids-north", &host()),
        RenderError::UnknownAnalysis { analysis: name("x") }
    );
    let late = InputSet::new(agreement.digest(), &name("auction"), 3, entries).unwrap();
    assert_eq!(release(&late, "bids-north", &host()), RenderError::Round { round: 3, rounds: 2 });
    assert_eq!(release(&good, "x", &host()), RenderError::UnknownDataset { dataset: name("x") });
    assert_eq!(
        release(&good, "bids-south", &host()),
        RenderError::AbsentDataset { dataset: name("bids-south") }
    );
    assert_eq!(release(&good, "bids-north", &owner()), RenderError::HostIsAccount { host: owner() });
}

#[test]
fn rounds_are_used_once_and_policies_grow_and_shrink() {
    let agreement = agreement();
    let of = |inputs: &InputSet| Release::of(&agreement, inputs, &name("bids-north"), &host()).unwrap();
    let (first, rival) = (inputs(&agreement, "auction", 1, 1), inputs(&agreement, "auction", 1, 2));
    let (second, report) = (inputs(&agreement, "auction", 2, 1), inputs(&agreement, "report", 1, 1));
    let empty = KeyPolicy::for_owner(&owner()).unwrap();
    assert_eq!(empty.round_state(&first), RoundState::Free);
    let one = empty.with_release(&of(&first)).unwrap();
    assert_eq!(one.round_state(&first), RoundState::Installed);
    let register = pcr17_for(&first.digest()).to_string();
    assert_eq!(one.round_state(&rival), RoundState::Taken { register: register.clone() });
    assert_eq!(one.with_release(&of(&rival)), Err(RenderError::RoundTaken { register: register.clone() }));
    assert_eq!(one.round_state(&second), RoundState::Free);
    // Twice is once.
    assert_eq!(one.with_release(&of(&first)).unwrap(), one);

    let three = one.with_release(&of(&second)).unwrap().with_release(&of(&report)).unwrap();
    assert_eq!(three.statements().len(), 4);
    for inputs in [&first, &second, &report] {
        assert_eq!(Ask::honest(&agreement, inputs).verdict(&three), Verdict::Allowed);
    }
    assert_eq!(Ask::honest(&agreement, &rival).verdict(&three), Verdict::DeniedByDefault);
    // The image of one analysis with the input set of another.
    let mut crossed = Ask::honest(&agreement, &first);
    crossed.registers.insert(17, pcr17_for(&report.digest()).as_bytes().to_vec());
    assert_eq!(crossed.verdict(&three), Verdict::DeniedByDefault);

    let revoked = three.without_round(&first);
    assert_eq!(Ask::honest(&agreement, &first).verdict(&revoked), Verdict::DeniedByDefault);
    assert_eq!(Ask::honest(&agreement, &second).verdict(&revoked), Verdict::Allowed);
    assert_eq!(three.without_agreement(&agreement.digest()), empty);
    assert_eq!(three.without_agreement(&Digest384::of(b"other")), three);

    // Renamed statements, or PCR17 without PCR16, count as used: it is not certain that they are not.
    for disguise in [
        one.to_json().replace("Entente releases", "Somebody releases"),
        one.to_json().replace("PCR16", "PCR18"),
    ] {
        let disguised = KeyPolicy::parse(&disguise).unwrap();
        assert_eq!(disguised.round_state(&rival), RoundState::Taken { register: register.clone() });
    }
}

#[test]
fn a_policy_has_room_for_a_limited_number_of_rounds() {
    let agreement = agreement();
    let release =
        Release::of(&agreement, &inputs(&agreement, "report", 1, 1), &name("bids-north"), &host()).unwrap();
    let filler = format!(
        r#"{{"Version":"2012-10-17","Id":"{}","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"111122223333"}},"Action":"kms:*","Resource":"*"}}]}}"#,
        "x".repeat(31_500)
    );
    let full = KeyPolicy::parse(&filler).unwrap();
    assert!(matches!(full.with_release(&release), Err(RenderError::TooLong { length }) if length > 32_768));
}

#[test]
fn the_audit_passes_what_was_rendered_and_reports_what_allows_more() {
    let agreement = agreement();
    let (first, second) = (inputs(&agreement, "auction", 1, 1), inputs(&agreement, "auction", 2, 1));
    let releases: Vec<_> = [&first, &second]
        .map(|inputs| Release::of(&agreement, inputs, &name("bids-north"), &host()).unwrap())
        .to_vec();
    let policy = releases.iter().fold(KeyPolicy::for_owner(&owner()).unwrap(), |policy, release| {
        policy.with_release(release).unwrap()
    });
    assert_eq!(audit(&policy, &owner(), &releases), []);
    // A statement with one more condition allows less.
    let narrower = policy
        .to_json()
        .replace(r#""DateLessThan":{"#, r#""Bool":{"aws:SecureTransport":"true"},"DateLessThan":{"#);
    assert_eq!(audit(&KeyPolicy::parse(&narrower).unwrap(), &owner(), &releases), []);

    let words = |text: &str| -> Vec<String> {
        audit(&KeyPolicy::parse(text).unwrap(), &owner(), &releases).iter().map(ToString::to_string).collect()
    };
    let json = policy.to_json();
    let sid = format!(
        "Entente releases bidsXnorth to auction round 1 of {}",
        &agreement.digest().to_string()[..16]
    );
    let replaced = |from: &str, to: &str| json.replacen(from, to, 1);
    let pcr0 = format!(r#""kms:RecipientAttestation:PCR0":"{}","#, "a0".repeat(48));
    for (bad, expected) in [
        (replaced(&pcr0, ""), "it does not ask for kms:RecipientAttestation:PCR0"),
        (
            replaced("\"StringEqualsIgnoreCase\"", "\"StringEqualsIgnoreCaseIfExists\""),
            "it asks for kms:RecipientAttestation:PCR17 with StringEqualsIgnoreCaseIfExists, not with StringEqualsIgnoreCase",
        ),
        (
            replaced(&pcr0, &pcr0.replace(":\"a0", ":[\"b0\",\"a0").replace("a0\",", "a0\"],")),
            "it accepts 2 values of kms:RecipientAttestation:PCR0",
        ),
        (replaced("2027-01-01", "2028-01-01"), "it asks for another value of aws:CurrentTime"),
        (
            replaced(r#"{"AWS":"arn:aws:iam::444455556666:role/entente-host"}"#, r#""*""#),
            "lets everybody decrypt: it is not for arn:aws:iam::444455556666:role/entente-host alone",
        ),
    ] {
        let found = words(&bad);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("statement 2 ({sid:?}) lets ")), "{}", found[0]);
        assert!(found[0].contains(expected), "{}", found[0]);
    }
    let extra = |statement: &str| json.replace(r#""Statement":["#, &format!(r#""Statement":[{statement},"#));
    for (statement, expected) in [
        (
            r#"{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:*","Resource":"*"}"#,
            "statement 1 allows kms:ReEncryptFrom, kms:ReEncryptTo, kms:CreateGrant, kms:PutKeyPolicy, kms:ReplicateKey, \
             kms:UpdatePrimaryRegion, kms:ImportKeyMaterial to whomever the administrators of account 444455556666 choose, \
             which leads to the key",
        ),
        (
            r#"{"Effect":"Allow","Principal":{"AWS":"*"},"NotAction":"kms:Encrypt","Resource":"*"}"#,
            "statement 1 lets everybody decrypt",
        ),
        (
            r#"{"Sid":"g","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"kms:CreateG*","Resource":"*"}"#,
            "statement 1 (\"g\") allows kms:CreateGrant to Service s3.amazonaws.com, which leads to the key",
        ),
    ] {
        let found = words(&extra(statement));
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "{found:?}");
    }
    let harmless =
        r#"{"Effect":"Allow","Principal":"*","Action":["kms:Encrypt","kms:DescribeKey"],"Resource":"*"}"#;
    assert_eq!(words(&extra(harmless)), Vec::<String>::new());
    assert_eq!(
        audit(&policy, &owner(), &[])[0].excess(),
        &Excess::Decrypts { lacks: vec!["belongs to no release that was agreed".to_owned()] }
    );
}

#[test]
fn conditions_of_a_wrong_kind_are_errors_of_their_own() {
    let error: RenderError = PolicyFault::Missing { element: "Action" }.into();
    assert_eq!(error.to_string(), "the statement cannot be written: the element Action is missing");
}
