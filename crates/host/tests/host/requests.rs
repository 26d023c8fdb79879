//! Requests: for analyses where owners sign every question.

use std::sync::Arc;

use entente_agreement::{Namespace, Request, RequestTerms, Table};
use entente_attestation::Digest384;
use entente_channel::Answer;
use entente_host::messages::{HaltCode, NewRun, ProblemCode, RunState};

use crate::fake::{Fake, Script};
use crate::world::{ANALYSIS, Served, World, config, ended, name};

#[tokio::test]
async fn a_run_that_every_owner_must_ask_for() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let world = Arc::new(World::with(b"\x7fELF", |text| {
        text.replace("authorize = \"inputs\"", "authorize = \"request\"")
    }));
    let (sender, answers) = std::sync::mpsc::channel();
    let platform = Fake::new({
        let world = world.clone();
        move |stream, _| {
            let mut talk = entente_channel::EnclaveEnd::new(stream);
            sender.send(talk.ask(&Script::new(&world).asks[0]).unwrap()).unwrap();
            talk.tell(&entente_channel::Ask::Halted { code: entente_channel::ErrorCode::InputsRefused })
                .unwrap();
        }
    });
    let served = Served::start(config(data.path()), platform).await;
    let client = &served.client;
    world.upload(client, scratch.path()).await;
    let error = client.create_run(&world.run()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::RunIncomplete));

    let request = |runner: &str, inputs: Digest384| {
        Request::new(&RequestTerms {
            agreement: world.agreement.digest(),
            inputs,
            analysis: name(ANALYSIS),
            runner: name(runner),
            number: 1,
            parameters: Table::new(),
        })
        .unwrap()
    };
    let refused = client.put_request(request("bea", world.inputs.digest()).bytes()).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::ObjectRefused));
    let request = request("ada", world.inputs.digest());
    let digest = client.put_request(request.bytes()).await.unwrap();
    assert_eq!(client.request_text(digest).await.unwrap(), request.bytes());
    let run = NewRun { request: Some(digest), ..world.run() };
    for party in ["ada", "bea"] {
        let error = client.create_run(&run).await.unwrap_err();
        assert_eq!(error.code(), Some(ProblemCode::RunIncomplete));
        assert!(error.to_string().contains(party), "{error}");
        let wrong = world.parties[party].sign(Namespace::Inputs, request.bytes());
        let refused = client.put_request_signature(digest, party, &wrong).await.unwrap_err();
        assert_eq!(refused.code(), Some(ProblemCode::SignatureRefused));
        let signature = world.parties[party].sign(Namespace::Request, request.bytes());
        client.put_request_signature(digest, party, &signature).await.unwrap();
        assert_eq!(client.request_signature(digest, party).await.unwrap(), signature);
    }
    let facts = client.requests(world.agreement.digest(), None, 10).await.unwrap().requests;
    assert!(facts[0].signatures.len() == 2 && facts[0].signatures.iter().all(|state| state.present));
    let id = client.create_run(&run).await.unwrap().id;
    let Answer::Documents(documents) = answers.recv().unwrap() else { panic!() };
    let sent = documents.request.unwrap();
    assert_eq!((sent.bytes.as_slice(), sent.signatures.len()), (request.bytes(), 2));
    let run = ended(client, &id).await;
    assert_eq!(run.state, RunState::Halted { code: HaltCode::InputsRefused });
    served.end().await;
}
