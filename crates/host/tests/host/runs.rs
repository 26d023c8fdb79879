//! The life of runs with enclaves that behave.

use std::sync::Arc;
use std::time::Duration;

use entente_channel::Answer;
use entente_host::Limits;
use entente_host::messages::{HaltCode, KeyAnswer, ProblemCode, RunHappening, RunState};

use crate::fake::{Fake, Script, results};
use crate::world::{KeyServiceAnswer, Served, World, config, ended, key_service, with_keys};

#[tokio::test]
async fn a_run_from_queue_to_results() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let (endpoint, asked) = key_service(KeyServiceAnswer::Release).await;
    let directory = data.path().join("host");
    let (sender, answers) = std::sync::mpsc::channel();
    let platform = Fake::new({
        let world = world.clone();
        move |stream, _| sender.send(Script::new(&world).play(stream).unwrap()).unwrap()
    });
    let served = Served::start(with_keys(config(&directory), &directory, &endpoint), platform).await;
    let client = &served.client;
    world.upload(client, scratch.path()).await;
    let run = client.create_run(&world.run()).await.unwrap();
    assert_eq!((&run.state, run.attempt), (&RunState::Queued, 1));
    let run = ended(client, &run.id).await;
    assert_eq!(run.state, RunState::Finished);
    let states: Vec<_> = run.history.iter().map(|step| step.state.name()).collect();
    assert_eq!(states, ["queued", "starting", "running", "finished"]);

    // What the enclave got.
    let answers: Vec<Answer> = answers.recv().unwrap();
    let Answer::Documents(documents) = &answers[0] else { panic!("{:?}", answers[0]) };
    assert_eq!(documents.agreement, world.agreement.bytes());
    assert_eq!(documents.inputs, world.inputs.bytes());
    assert_eq!(
        (documents.approvals.len(), documents.input_signatures.len(), documents.manifests.len()),
        (2, 2, 2)
    );
    assert!(documents.request.is_none());
    let key = Answer::Key { ciphertext_for_recipient: b"sealed key".to_vec() };
    assert_eq!(answers[1..3], [key.clone(), key]);
    let chunks: Vec<u8> = answers
        .iter()
        .filter_map(|answer| match answer {
            Answer::Chunk { bytes } => Some(bytes.as_slice()),
            _ => None,
        })
        .collect::<Vec<_>>()
        .concat();
    let sealed: Vec<u8> = world.sealed.values().flat_map(|sealed| sealed.bytes.clone()).collect();
    assert!(chunks == sealed);
    assert_eq!(answers.last(), Some(&Answer::Taken));

    // What the key service was asked, exactly.
    {
        let asked = asked.0.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0]["EncryptionContext"]["entente-dataset"], "bids-ada");
        assert_eq!(asked[0]["EncryptionContext"]["entente-agreement"], world.agreement.digest().to_string());
        assert_eq!(asked[0]["Recipient"]["KeyEncryptionAlgorithm"], "RSAES_OAEP_SHA_256");
        assert_eq!(asked[0]["KeyId"], world.agreement.datasets()[0].key().as_str());
    }

    // What the parties get.
    let listed = client.results(&run.id).await.unwrap().results;
    let expected = results(&world);
    assert_eq!(listed.len(), expected.len());
    for (facts, (file, bytes)) in listed.iter().zip(&expected) {
        assert_eq!(facts.name, file.file_name());
        let mut out = Vec::new();
        assert_eq!(
            client.download_result(&run.id, &facts.name, &mut out, |_| {}).await.unwrap(),
            facts.digest
        );
        assert!(out == *bytes);
    }
    entente_receipt::Receipt::parse(&client.receipt(&run.id).await.unwrap()).unwrap();
    for name in ["index.json", "receipt.json", "x", ".."] {
        let error = client.download_result(&run.id, name, &mut Vec::new(), |_| {}).await.unwrap_err();
        assert!(
            matches!(error.code(), Some(ProblemCode::UnknownResult | ProblemCode::NoSuchRoute)),
            "{error}"
        );
    }

    // What happened, in order.
    let events = client.run_events(&run.id, 0, 0).await.unwrap().events;
    let words: Vec<String> = events
        .iter()
        .map(|event| match &event.what {
            RunHappening::State { state } => state.name().to_owned(),
            RunHappening::Key { dataset, answer } => format!("{dataset} {answer:?}"),
            RunHappening::Fetched { dataset, bytes } => format!("{dataset} {bytes}"),
            RunHappening::Delivered { name, .. } => name.clone(),
        })
        .collect();
    assert_eq!(
        words,
        [
            "queued",
            "starting",
            "running",
            "bids-ada Released",
            "bids-bea Released",
            "bids-ada 2500000",
            "bids-bea 1000",
            "own.ada.age",
            "own.bea.age",
            "finished"
        ]
    );
    assert!(events.iter().zip(1..).all(|(event, number)| event.number == number));

    // A finished run is not started again, and its inputs may go.
    let error = client.start_run(&run.id).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::RunState));
    client.remove_sealed(world.sealed["bids-ada"].manifest.digest()).await.unwrap();
    client.remove_run(&run.id).await.unwrap();
    assert_eq!(client.run(&run.id).await.unwrap_err().code(), Some(ProblemCode::UnknownRun));
    assert!(!directory.join("results").join(run.id.as_str()).exists());
    served.end().await;
}

#[tokio::test]
async fn a_key_that_is_not_released_is_an_empty_answer() {
    for answer in [KeyServiceAnswer::Deny, KeyServiceAnswer::Plaintext, KeyServiceAnswer::Never] {
        let data = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let world = Arc::new(World::new());
        let (endpoint, _) = key_service(answer).await;
        let directory = data.path().join("host");
        let platform = Fake::new({
            let world = world.clone();
            move |stream, _| {
                let mut talk = entente_channel::EnclaveEnd::new(stream);
                let script = Script::new(&world);
                talk.ask(&script.asks[0]).unwrap();
                let answer = talk.ask(&script.asks[1]).unwrap();
                assert_eq!(answer, Answer::Key { ciphertext_for_recipient: Vec::new() });
                talk.tell(&entente_channel::Ask::Halted { code: entente_channel::ErrorCode::KeyRefused })
                    .unwrap();
            }
        });
        let mut times = crate::world::timeouts();
        times.key = Duration::from_secs(1);
        let served = Served::start(
            with_keys(config(&directory), &directory, &endpoint).with_timeouts(times),
            platform,
        )
        .await;
        world.upload(&served.client, scratch.path()).await;
        let run = served.client.create_run(&world.run()).await.unwrap();
        let run = ended(&served.client, &run.id).await;
        assert_eq!(run.state, RunState::Halted { code: HaltCode::KeyRefused });
        let events = served.client.run_events(&run.id, 0, 0).await.unwrap().events;
        assert!(events.iter().any(
            |event| matches!(&event.what, RunHappening::Key { answer, .. } if *answer == KeyAnswer::Refused)
        ));
        let error = served.client.results(&run.id).await.unwrap_err();
        assert_eq!(error.code(), Some(ProblemCode::UnknownResult));
        served.end().await;
    }
}

#[tokio::test]
async fn every_code_ends_a_run_and_it_may_be_started_again() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let (endpoint, _) = key_service(KeyServiceAnswer::Release).await;
    let directory = data.path().join("host");
    let codes = entente_channel::ErrorCode::ALL;
    let platform = Fake::new({
        let world = world.clone();
        move |stream, number| match codes.get(number) {
            Some(code) => {
                let halt = entente_channel::Ask::Halted { code: *code };
                entente_channel::EnclaveEnd::new(stream).tell(&halt).unwrap();
            }
            None => drop(Script::new(&world).play(stream)),
        }
    });
    let served = Served::start(with_keys(config(&directory), &directory, &endpoint), platform.clone()).await;
    let client = &served.client;
    world.upload(client, scratch.path()).await;
    let id = client.create_run(&world.run()).await.unwrap().id;
    for code in codes {
        let run = ended(client, &id).await;
        let RunState::Halted { code: found } = run.state else { panic!("{:?}", run.state) };
        assert_eq!(format!("{found:?}"), code.as_str());
        client.start_run(&id).await.unwrap();
    }
    let run = ended(client, &id).await;
    assert_eq!((run.state, run.attempt, platform.starts()), (RunState::Finished, 7, 7));
    served.end().await;
}

#[tokio::test]
async fn runs_wait_for_their_turn_and_can_be_stopped() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let directory = data.path().join("host");
    let limits = Limits { concurrent_runs: 1, queued_runs: 2, ..Limits::default() };
    let platform = Fake::new({
        let world = world.clone();
        move |stream, _| {
            let mut talk = entente_channel::EnclaveEnd::new(stream);
            talk.ask(&Script::new(&world).asks[0]).unwrap();
            // Silent until the host hangs up.
            assert!(talk.ask(&entente_channel::Ask::ChunkDigests { dataset: "bids-ada".to_owned() }).is_ok());
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    let served = Served::start(config(&directory).with_limits(limits).unwrap(), platform.clone()).await;
    let client = &served.client;
    world.upload(client, scratch.path()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.create_run(&world.run()).await.unwrap().id);
    }
    let error = client.create_run(&world.run()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::LimitReached));
    let mut after = 0;
    while client.run(&ids[0]).await.unwrap().state != RunState::Running {
        after = client
            .run_events(&ids[0], after, 5)
            .await
            .unwrap()
            .events
            .last()
            .map_or(after, |event| event.number);
    }
    assert_eq!(client.run(&ids[1]).await.unwrap().state, RunState::Queued);
    // What a run needs stays.
    let manifest = world.sealed["bids-ada"].manifest.digest();
    assert_eq!(client.remove_sealed(manifest).await.unwrap_err().code(), Some(ProblemCode::InUse));
    let pcr0 = *world.image.measurements().pcr0();
    assert_eq!(client.remove_image(pcr0).await.unwrap_err().code(), Some(ProblemCode::InUse));
    assert_eq!(client.remove_run(&ids[0]).await.unwrap_err().code(), Some(ProblemCode::RunState));
    // One that waits, then the live ones.
    assert_eq!(client.stop_run(&ids[1]).await.unwrap().state, RunState::Stopped);
    assert_eq!(client.stop_run(&ids[1]).await.unwrap_err().code(), Some(ProblemCode::RunState));
    assert_eq!(client.stop_run(&ids[0]).await.unwrap().state, RunState::Stopped);
    assert_eq!(client.start_run(&ids[0]).await.unwrap().state, RunState::Queued);
    let mut after = 0;
    while client.run(&ids[2]).await.unwrap().state != RunState::Running {
        after = client
            .run_events(&ids[2], after, 5)
            .await
            .unwrap()
            .events
            .last()
            .map_or(after, |event| event.number);
    }
    // The host ends: the live one is interrupted, the other waits for the next life.
    served.end().await;
    let served = Served::start(config(&directory), Fake::honest(&world)).await;
    let run = served.client.run(&ids[2]).await.unwrap();
    assert_eq!(run.state, RunState::Interrupted);
    let run = ended(&served.client, &ids[0]).await;
    assert_eq!(run.attempt, 2);
    assert!(run.state.is_ended());
    served.end().await;
}
