//! Generated objects, approvals, verified inputs and pins: every check of Bind 2 and 4 has its error.

use std::collections::BTreeMap;

use crate::support::{AUCTION, Signer, agreement, approved, inputs, name, sign_manifest, signatures, terms};
use entente_agreement::{
    Agreement, ApprovalError, ApprovedAgreement, Format, InputEntry, InputSet, InputsError, KnownParties,
    KnownPartiesErrorKind, Manifest, Name, Namespace, OwnBlockError, PinError, Request, RequestTerms,
    SignatureError, SignedInputs, SignedManifest, SignedRequest, Table, TextErrorKind, Value, VerifiedInputs,
};
use entente_attestation::Digest384;

const PARTIES: [&str; 3] = ["harbour", "ada", "bea"];

#[test]
fn every_party_approves_and_nobody_else() {
    let good = signatures(Namespace::Agreement, AUCTION.as_bytes(), &PARTIES);
    let verify = |approvals: &BTreeMap<Name, Vec<u8>>| {
        ApprovedAgreement::verify(agreement(), approvals).map(|approved| approved.digest())
    };
    assert_eq!(verify(&good), Ok(agreement().digest()));
    let mut missing = good.clone();
    missing.remove("ada");
    assert_eq!(verify(&missing), Err(ApprovalError::Missing { party: name("ada") }));
    let mut more = good.clone();
    more.insert(name("eve"), good["ada"].clone());
    assert_eq!(verify(&more), Err(ApprovalError::NotAParty { name: name("eve") }));
    let mut swapped = good.clone();
    swapped.insert(name("ada"), good["bea"].clone());
    assert_eq!(
        verify(&swapped),
        Err(ApprovalError::Signature {
            party: name("ada"),
            error: SignatureError::OtherKey {
                expected: Signer::of("ada").key().fingerprint(),
                found: Signer::of("bea").key().fingerprint()
            }
        })
    );
    let other = signatures(Namespace::Agreement, b"another agreement", &PARTIES);
    assert_eq!(
        verify(&other),
        Err(ApprovalError::Signature { party: name("harbour"), error: SignatureError::Mismatch })
    );
}

#[test]
fn generated_objects_have_one_text() {
    let agreement = agreement();
    let manifest = Manifest::new(&terms(&agreement, "bids-ada")).unwrap();
    insta::assert_snapshot!("manifest", std::str::from_utf8(manifest.bytes()).unwrap());
    assert_eq!(Manifest::parse(manifest.bytes()).unwrap(), manifest);
    let text = String::from_utf8(manifest.bytes().to_vec()).unwrap();
    for (from, to) in [
        ("dataset = ", "dataset  = "),
        ("bytes = 4096", "bytes = 4_096"),
        ("bytes = 4096", "bytes = 0x1000"),
        ("\"bids-ada\"", "'bids-ada'"),
        ("bytes = 4096\n", "# a comment\nbytes = 4096\n"),
        ("bytes = 4096\n", "\nbytes = 4096\n"),
        ("CQkJ\n", "CQ\nkJ\n"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Manifest::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(*error.kind(), TextErrorKind::NotCanonical, "{from}");
    }
    let set = inputs(&agreement, &[sign_manifest(&terms(&agreement, "bids-ada"))]).set().clone();
    insta::assert_snapshot!("input set", std::str::from_utf8(set.bytes()).unwrap());
    assert_eq!(InputSet::parse(set.bytes()).unwrap(), set);
    let request = Request::new(&request_terms(&agreement, &set)).unwrap();
    insta::assert_snapshot!("request", std::str::from_utf8(request.bytes()).unwrap());
    assert_eq!(Request::parse(request.bytes()).unwrap(), request);
}

#[test]
fn input_sets_are_ordered_and_have_no_twins() {
    let entry = |text: &str| InputEntry::absent(name(text), name("ada"));
    let digest = Digest384::of(b"agreement");
    let make = |entries| InputSet::new(digest, &name("auction"), 1, entries);
    assert_eq!(make(vec![entry("b"), entry("a")]), make(vec![entry("a"), entry("b")]));
    let twin = make(vec![entry("a"), entry("a")]).unwrap_err();
    assert_eq!(*twin.kind(), TextErrorKind::DuplicateName { what: "dataset", name: name("a") });
    let none = make(vec![]).unwrap_err();
    assert_eq!(*none.kind(), TextErrorKind::MissingKey { key: "dataset".to_owned() });
    let text = String::from_utf8(make(vec![entry("a"), entry("b")]).unwrap().bytes().to_vec()).unwrap();
    let text = text.replace("\"a\"", "\"c\"");
    assert_eq!(
        *InputSet::parse(text.as_bytes()).unwrap_err().kind(),
        TextErrorKind::Order { name: name("b") }
    );
    let zeroth = InputSet::new(digest, &name("auction"), 0, vec![entry("a")]).unwrap_err();
    assert!(matches!(zeroth.kind(), TextErrorKind::OutOfRange { found: 0, min: 1, .. }));
}

#[test]
fn manifests_have_limits() {
    let agreement = agreement();
    let mut terms = terms(&agreement, "bids-ada");
    terms.wrapped_key = vec![1; 6144];
    assert_eq!(Manifest::new(&terms).unwrap().wrapped_key().len(), 6144);
    let kind = TextErrorKind::Base64 { key: "wrapped_key".to_owned(), min: 1, max: 6144 };
    terms.wrapped_key.push(1);
    assert_eq!(*Manifest::new(&terms).unwrap_err().kind(), kind);
    terms.wrapped_key.clear();
    assert_eq!(*Manifest::new(&terms).unwrap_err().kind(), kind);
    terms.wrapped_key.push(1);
    terms.bytes = 0;
    assert!(matches!(Manifest::new(&terms).unwrap_err().kind(), TextErrorKind::OutOfRange { found: 0, .. }));
}

fn request_terms(agreement: &Agreement, set: &InputSet) -> RequestTerms {
    let mut parameters = Table::new();
    parameters.insert("query", Value::Text("SELECT \"a\"\nFROM 't'".to_owned())).unwrap();
    parameters.insert("limit", Value::Integer(-5)).unwrap();
    parameters.insert("exact", Value::Flag(true)).unwrap();
    let words = ["it's", "plain"].map(|text| Value::Text(text.to_owned()));
    parameters.insert("words", Value::List(words.to_vec())).unwrap();
    parameters.insert("none", Value::List(vec![])).unwrap();
    let mut row = Table::new();
    row.insert("quoted", Value::Text("\"q\"".to_owned())).unwrap();
    parameters.insert("rows", Value::Tables(vec![row.clone(), Table::new()])).unwrap();
    parameters.insert("inner", Value::Table(row)).unwrap();
    RequestTerms {
        agreement: agreement.digest(),
        inputs: set.digest(),
        analysis: name("auction"),
        runner: name("harbour"),
        number: 1,
        parameters,
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let agreement = agreement();
    let set = inputs(&agreement, &[sign_manifest(&terms(&agreement, "bids-ada"))]).set().clone();
    let refused = |value: Value| {
        let mut terms = request_terms(&agreement, &set);
        terms.parameters = Table::new();
        terms.parameters.insert("x", value).unwrap();
        Request::new(&terms).unwrap_err().kind().clone()
    };
    let unwritable = TextErrorKind::Unwritable { key: "x".to_owned() };
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(refused(text("a\\b")), unwritable);
    assert_eq!(refused(text("a\tb")), unwritable);
    assert_eq!(refused(text("é")), unwritable);
    assert_eq!(refused(text(&"x".repeat(195))), unwritable);
    assert_eq!(refused(text("'''\"\"\"")), unwritable);
    assert_eq!(refused(Value::List(vec![text("a\nb")])), unwritable);
    assert_eq!(refused(Value::List(vec![Value::List(vec![])])), unwritable);
    assert_eq!(refused(Value::Tables(vec![])), unwritable);
    assert_eq!(refused(Value::List(vec![text("a"), Value::Flag(true)])), TextErrorKind::MixedList);
    assert!(Table::new().insert("Key", Value::Flag(true)).is_err());
}

/// Everything of a good run: ada and the reserves are present, bea is absent.
struct Case {
    agreement: Agreement,
    inputs: SignedInputs,
    request: Option<SignedRequest>,
}

impl Case {
    fn good() -> Self {
        let agreement = agreement();
        let manifests =
            [sign_manifest(&terms(&agreement, "bids-ada")), sign_manifest(&terms(&agreement, "reserves"))];
        Self { inputs: inputs(&agreement, &manifests), agreement, request: None }
    }

    fn verify(self) -> Result<VerifiedInputs, InputsError> {
        VerifiedInputs::verify(&approved(self.agreement), &name("auction"), self.inputs, self.request)
    }

    /// Another set of the same round, signed by all.
    fn with_entries(mut self, change: impl FnOnce(&mut Vec<InputEntry>)) -> Self {
        let set = self.inputs.set();
        let mut entries = set.datasets().to_vec();
        change(&mut entries);
        let set = InputSet::new(set.agreement(), set.analysis(), set.round(), entries).unwrap();
        let signatures = signatures(Namespace::Inputs, set.bytes(), &PARTIES);
        self.inputs = SignedInputs::new(set, signatures, self.inputs.manifests().clone());
        self
    }

    /// Another manifest of ada's, in the set and signed by all.
    fn with_manifest(self, signed: SignedManifest) -> Self {
        let digest = signed.manifest().digest();
        let mut case = self.with_entries(|entries| {
            entries[0] = InputEntry::present(name("bids-ada"), name("ada"), digest);
        });
        let mut manifests = case.inputs.manifests().clone();
        manifests.insert(name("bids-ada"), signed);
        case.inputs =
            SignedInputs::new(case.inputs.set().clone(), case.inputs.signatures().clone(), manifests);
        case
    }

    fn with_set(mut self, set: InputSet) -> Self {
        let signatures = signatures(Namespace::Inputs, set.bytes(), &PARTIES);
        self.inputs = SignedInputs::new(set, signatures, self.inputs.manifests().clone());
        self
    }
}

#[test]
fn good_inputs_verify() {
    let verified = Case::good().verify().unwrap();
    assert_eq!(verified.set().round(), 1);
    assert!(verified.manifest(&name("bids-ada")).is_some());
    assert!(verified.manifest(&name("bids-bea")).is_none());
    assert_eq!(verified.manifests().count(), 2);
    assert!(verified.request().is_none());
}

#[test]
fn the_set_must_fit() {
    let case = Case::good();
    let approved = approved(case.agreement.clone());
    assert_eq!(
        VerifiedInputs::verify(&approved, &name("other"), case.inputs, None),
        Err(InputsError::UnknownAnalysis { analysis: name("other") })
    );
    let remake = |agreement: Digest384, analysis: &str, round| {
        let case = Case::good();
        let entries = case.inputs.set().datasets().to_vec();
        case.with_set(InputSet::new(agreement, &name(analysis), round, entries).unwrap())
            .verify()
            .unwrap_err()
    };
    let digest = agreement().digest();
    let other = Digest384::of(b"other");
    assert_eq!(remake(other, "auction", 1), InputsError::SetAgreement { expected: digest, found: other });
    assert_eq!(
        remake(digest, "other", 1),
        InputsError::SetAnalysis { expected: name("auction"), found: name("other") }
    );
    assert_eq!(remake(digest, "auction", 2), InputsError::SetRound { rounds: 1, found: 2 });
    let entries = |change: fn(&mut Vec<InputEntry>)| Case::good().with_entries(change).verify().unwrap_err();
    assert_eq!(
        entries(|entries| drop(entries.remove(1))),
        InputsError::DatasetMissing { dataset: name("bids-bea") }
    );
    assert_eq!(
        entries(|entries| entries.push(InputEntry::absent(name("more"), name("ada")))),
        InputsError::DatasetUnexpected { dataset: name("more") }
    );
    assert_eq!(
        entries(|entries| entries[1] = InputEntry::absent(name("bids-bea"), name("ada"))),
        InputsError::DatasetOwner { dataset: name("bids-bea"), expected: name("bea"), found: name("ada") }
    );
    assert_eq!(
        entries(|entries| entries[2] = InputEntry::absent(name("reserves"), name("harbour"))),
        InputsError::DatasetAbsent { dataset: name("reserves") }
    );
}

/// With every dataset absent the run seed would be made of public bytes.
#[test]
fn something_must_be_present() {
    let text = AUCTION.replace("\"bids-bea\", \"reserves\"]", "\"bids-bea\"]");
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let absent = |dataset: &str, owner: &str| InputEntry::absent(name(dataset), name(owner));
    let entries = vec![absent("bids-ada", "ada"), absent("bids-bea", "bea")];
    let set = InputSet::new(agreement.digest(), &name("auction"), 1, entries).unwrap();
    let signatures = signatures(Namespace::Inputs, set.bytes(), &["ada", "bea"]);
    let inputs = SignedInputs::new(set, signatures, BTreeMap::new());
    let case = Case { agreement, inputs, request: None };
    assert_eq!(case.verify(), Err(InputsError::NothingPresent));
}

#[test]
fn every_owner_signs_the_set_and_nobody_else() {
    let with = |change: fn(&mut BTreeMap<Name, Vec<u8>>)| {
        let mut case = Case::good();
        let mut signatures = case.inputs.signatures().clone();
        change(&mut signatures);
        case.inputs =
            SignedInputs::new(case.inputs.set().clone(), signatures, case.inputs.manifests().clone());
        case.verify().unwrap_err()
    };
    // bea is absent and signs all the same
    assert_eq!(with(|all| drop(all.remove("bea"))), InputsError::SetSignatureMissing { party: name("bea") });
    assert_eq!(
        with(|all| drop(all.insert(name("eve"), vec![]))),
        InputsError::SetSignatureUnexpected { party: name("eve") }
    );
    assert_eq!(
        with(|all| drop(all.insert(name("ada"), vec![]))),
        InputsError::SetSignature { party: name("ada"), error: SignatureError::Armor }
    );
    assert!(matches!(
        with(|all| {
            let other = all["bea"].clone();
            all.insert(name("ada"), other);
        }),
        InputsError::SetSignature { error: SignatureError::OtherKey { .. }, .. }
    ));
}

#[test]
fn manifests_must_be_the_sets_and_fit_their_slots() {
    let with = |change: &dyn Fn(&mut BTreeMap<Name, SignedManifest>)| {
        let mut case = Case::good();
        let mut manifests = case.inputs.manifests().clone();
        change(&mut manifests);
        case.inputs =
            SignedInputs::new(case.inputs.set().clone(), case.inputs.signatures().clone(), manifests);
        case.verify().unwrap_err()
    };
    let dataset = || name("bids-ada");
    assert_eq!(
        with(&|all| drop(all.remove("bids-ada"))),
        InputsError::ManifestMissing { dataset: dataset() }
    );
    assert_eq!(
        with(&|all| drop(all.insert(name("bids-bea"), all["bids-ada"].clone()))),
        InputsError::ManifestUnexpected { dataset: name("bids-bea") }
    );
    let agreement = agreement();
    let mut changed = terms(&agreement, "bids-ada");
    changed.bytes += 1;
    let other = sign_manifest(&changed);
    let found = other.manifest().digest();
    assert_eq!(
        with(&|all| drop(all.insert(dataset(), other.clone()))),
        InputsError::ManifestDigest { dataset: dataset(), found }
    );
    let unsigned = |all: &mut BTreeMap<Name, SignedManifest>| {
        let manifest = all["bids-ada"].manifest().clone();
        let signature = Signer::of("bea").sign(Namespace::Manifest, manifest.bytes());
        all.insert(dataset(), SignedManifest::new(manifest, signature));
    };
    assert!(matches!(
        with(&unsigned),
        InputsError::ManifestSignature { error: SignatureError::OtherKey { .. }, .. }
    ));

    // Manifests that are in the set and signed, but do not fit the slot.
    let fits = |change: &dyn Fn(&mut entente_agreement::ManifestTerms)| {
        let mut terms = terms(&agreement, "bids-ada");
        change(&mut terms);
        let manifest = Manifest::new(&terms).unwrap();
        let signature = Signer::of("ada").sign(Namespace::Manifest, manifest.bytes());
        Case::good().with_manifest(SignedManifest::new(manifest, signature)).verify().unwrap_err()
    };
    let elsewhere = Digest384::of(b"elsewhere");
    assert_eq!(
        fits(&|terms| terms.agreement = elsewhere),
        InputsError::ManifestAgreement { dataset: dataset(), expected: agreement.digest(), found: elsewhere }
    );
    assert_eq!(
        fits(&|terms| terms.dataset = name("bids-bea")),
        InputsError::ManifestDataset { dataset: dataset(), found: name("bids-bea") }
    );
    assert_eq!(
        fits(&|terms| terms.owner = name("bea")),
        InputsError::ManifestOwner { dataset: dataset(), expected: name("ada"), found: name("bea") }
    );
    assert_eq!(
        fits(&|terms| terms.format = Format::Age),
        InputsError::ManifestFormat { dataset: dataset(), expected: Format::Parquet, found: Format::Age }
    );
    assert_eq!(
        fits(&|terms| terms.bytes = 1_048_577),
        InputsError::ManifestSize { dataset: dataset(), limit: 1_048_576, found: 1_048_577 }
    );
}

fn with_request(
    authorize: &str,
    signers: &[&str],
    change: impl FnOnce(&mut RequestTerms),
) -> Result<VerifiedInputs, InputsError> {
    let text = AUCTION.replace("authorize = \"inputs\"", &format!("authorize = \"{authorize}\""));
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let manifests =
        [sign_manifest(&terms(&agreement, "bids-ada")), sign_manifest(&terms(&agreement, "reserves"))];
    let inputs = inputs(&agreement, &manifests);
    let mut terms = request_terms(&agreement, inputs.set());
    change(&mut terms);
    let request = Request::new(&terms).unwrap();
    let signatures = signatures(Namespace::Request, request.bytes(), signers);
    Case { agreement, inputs, request: Some(SignedRequest::new(request, signatures)) }.verify()
}

#[test]
fn requests_are_signed_by_the_runner_and_by_every_owner_where_agreed() {
    assert!(with_request("inputs", &["harbour"], |_| ()).unwrap().request().is_some());
    assert!(with_request("request", &PARTIES, |_| ()).is_ok());
    assert_eq!(
        with_request("request", &["harbour", "ada"], |_| ()),
        Err(InputsError::RequestSignatureMissing { party: name("bea") })
    );
    assert_eq!(
        with_request("inputs", &["harbour", "ada"], |_| ()),
        Err(InputsError::RequestSignatureUnexpected { party: name("ada") })
    );
    assert_eq!(
        with_request("inputs", &[], |_| ()),
        Err(InputsError::RequestSignatureMissing { party: name("harbour") })
    );
    assert_eq!(
        with_request("inputs", &["ada"], |terms| terms.runner = name("ada")),
        Err(InputsError::RequestRunner { runner: name("ada") })
    );
    let other = Digest384::of(b"other");
    assert!(matches!(
        with_request("inputs", &["harbour"], |terms| terms.inputs = other),
        Err(InputsError::RequestInputs { found, .. }) if found == other
    ));
    assert!(matches!(
        with_request("inputs", &["harbour"], |terms| terms.agreement = other),
        Err(InputsError::RequestAgreement { found, .. }) if found == other
    ));
    assert_eq!(
        with_request("inputs", &["harbour"], |terms| terms.analysis = name("other")),
        Err(InputsError::RequestAnalysis { expected: name("auction"), found: name("other") })
    );
    let text = AUCTION.replace("authorize = \"inputs\"", "authorize = \"request\"");
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let manifests =
        [sign_manifest(&terms(&agreement, "bids-ada")), sign_manifest(&terms(&agreement, "reserves"))];
    let inputs = inputs(&agreement, &manifests);
    assert_eq!(Case { agreement, inputs, request: None }.verify(), Err(InputsError::RequestMissing));
}

#[test]
fn pins_are_compared() {
    let agreement = agreement();
    let line = |party: &str, key: &str| KnownParties::line(&name(party), Signer::of(key).key());
    let all = PARTIES.map(|party| line(party, party)).concat();
    let check = |text: &str| KnownParties::parse(text.as_bytes()).unwrap().check(&agreement);
    assert_eq!(check(&all).unwrap().agreement(), agreement.digest());
    let fingerprint = |party: &str| Signer::of(party).key().fingerprint();
    assert_eq!(
        check(&[line("harbour", "harbour"), line("ada", "ada")].concat()),
        Err(PinError::Unknown { party: name("bea"), found: fingerprint("bea") })
    );
    let stranger = Signer::new(99);
    let other = KnownParties::line(&name("bea"), stranger.key());
    assert_eq!(
        check(&[line("harbour", "harbour"), line("ada", "ada"), other.clone()].concat()),
        Err(PinError::OtherKey {
            party: name("bea"),
            found: fingerprint("bea"),
            known: vec![stranger.key().fingerprint()]
        })
    );
    // Two keys of one party while it changes them.
    assert!(check(&[all.clone(), other].concat()).is_ok());
    assert_eq!(
        check(&[line("harbour", "harbour"), line("eve", "ada"), line("bea", "bea")].concat()),
        Err(PinError::OtherName { party: name("ada"), found: fingerprint("ada"), known_as: name("eve") })
    );
    let others =
        KnownParties::parse([line("harbour", "harbour"), line("bea", "bea")].concat().as_bytes()).unwrap();
    assert!(others.check_others(&agreement, &name("ada")).is_ok());
    assert!(others.check(&agreement).is_err());
    let ada = agreement.party(&name("ada")).unwrap();
    assert_eq!(ada.check_own(Signer::of("ada").key(), ada.result_key()), Ok(()));
    assert!(matches!(
        ada.check_own(Signer::of("bea").key(), ada.result_key()),
        Err(OwnBlockError::SignKey { .. })
    ));
    assert!(matches!(ada.check_own(ada.sign_key(), "age1x"), Err(OwnBlockError::ResultKey { .. })));
}

#[test]
fn known_parties_are_read_as_openssh_reads_them() {
    let key = Signer::of("ada").key().to_openssh();
    let good = |text: String| KnownParties::parse(text.as_bytes()).unwrap().iter().count();
    assert_eq!(good(String::new()), 0);
    assert_eq!(good(format!("# ada, é\n\n  # more\nada {key}\n")), 1);
    assert_eq!(good(format!("ada {key} ada@laptop of 2026")), 1);
    assert_eq!(good(format!("ada,ada-2\t{key}\r\n")), 2);
    assert_eq!(good(format!("\"ada\" {key}\n")), 1);
    assert_eq!(good(format!("ada namespaces=\"entente-*\" {key}\n")), 1);
    assert_eq!(good(format!("ada namespaces=\"file,*\" {key}\n")), 1);
    let every = Namespace::ALL.map(Namespace::as_str).join(",");
    assert_eq!(good(format!("ada NAMESPACES=\"{every}\" {key}\n")), 1);
    let bad = |text: String| {
        let error = KnownParties::parse(format!("# first\n{text}\n").as_bytes()).unwrap_err();
        assert_eq!(error.line(), 2);
        error.kind().clone()
    };
    assert_eq!(bad("ada".to_owned()), KnownPartiesErrorKind::Form);
    assert_eq!(bad(format!("* {key}")), KnownPartiesErrorKind::Pattern);
    assert_eq!(bad(format!("ada,!bea {key}")), KnownPartiesErrorKind::Pattern);
    assert!(matches!(bad(format!("ada@example.com {key}")), KnownPartiesErrorKind::Name(_)));
    assert_eq!(bad(format!("ada cert-authority {key}")), KnownPartiesErrorKind::CertificateAuthority);
    assert_eq!(bad(format!("ada valid-before=\"20270101\" {key}")), KnownPartiesErrorKind::Validity);
    assert_eq!(bad(format!("ada namespaces=\"file\" {key}")), KnownPartiesErrorKind::Namespaces);
    assert_eq!(
        bad(format!("ada namespaces=\"entente-*,!entente-x\" {key}")),
        KnownPartiesErrorKind::Namespaces
    );
    assert_eq!(bad(format!("ada namespaces=entente-* {key}")), KnownPartiesErrorKind::Quote);
    assert_eq!(bad(format!("ada namespaces=\"entente-* {key}")), KnownPartiesErrorKind::Quote);
    assert_eq!(
        bad(format!("ada no-touch-required {key}")),
        KnownPartiesErrorKind::Option { found: "no-touch-required".to_owned() }
    );
    assert!(matches!(bad("ada ssh-dss AAAA".to_owned()), KnownPartiesErrorKind::Key(_)));
}
