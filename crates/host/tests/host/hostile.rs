//! Enclaves that do not behave: the run ends in a definite state, nothing is kept, and the host serves on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_attestation::Digest384;
use entente_channel::Ask;
use entente_host::client::Client;
use entente_host::messages::{FailureReason, RunState};
use entente_receipt::ResultFile;

use crate::fake::{Fake, Script, key_ask, receipt_about, results};
use crate::world::{KeyServiceAnswer, Served, World, config, ended, key_service, timeouts, with_keys};

type Behaviour = Box<dyn Fn(UnixStream) + Send + Sync>;

/// Runs each behaviour once, in turn, and returns how the runs ended.
async fn ends(world: &Arc<World>, behaviours: Vec<Behaviour>) -> Vec<RunState> {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let (endpoint, _) = key_service(KeyServiceAnswer::Release).await;
    let directory = data.path().join("host");
    let count = behaviours.len();
    let platform = Fake::new(move |stream, number| behaviours[number](stream));
    let times = entente_host::Timeouts {
        boot: Duration::from_secs(1),
        ask: Duration::from_secs(1),
        run: Duration::from_secs(3),
        ..timeouts()
    };
    let config = with_keys(config(&directory), &directory, &endpoint).with_timeouts(times);
    let served = Served::start(config, platform).await;
    let client: &Client = &served.client;
    world.upload(client, scratch.path()).await;
    let mut states = Vec::new();
    for _ in 0..count {
        let id = client.create_run(&world.run()).await.unwrap().id;
        let run = ended(client, &id).await;
        assert!(client.results(&id).await.is_err(), "no results of {:?}", run.state);
        states.push(run.state);
    }
    assert_eq!(client.health().await.unwrap().status, "ok");
    served.end().await;
    assert_eq!(std::fs::read_dir(directory.join("results")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(directory.join("scratch")).unwrap().count(), 0);
    states
}

fn reason(state: &RunState) -> FailureReason {
    match state {
        RunState::Failed { reason, .. } => *reason,
        other => panic!("{other:?}"),
    }
}

/// An enclave that asks what an honest one asks, changed.
fn changed(world: &Arc<World>, change: impl Fn(&World, &mut Script) + Send + Sync + 'static) -> Behaviour {
    let world = world.clone();
    Box::new(move |stream| {
        let mut script = Script::new(&world);
        change(&world, &mut script);
        assert!(script.play(stream).is_err(), "the host should hang up");
    })
}

fn raw(bytes: Vec<u8>) -> Behaviour {
    Box::new(move |mut stream| {
        stream.write_all(&bytes).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_run() {
    let world = Arc::new(World::new());
    let is_list = |ask: &Ask| matches!(ask, Ask::ChunkDigests { .. });
    let is_chunk = |ask: &Ask| matches!(ask, Ask::Chunk { .. });
    let is_deliver = |ask: &Ask| matches!(ask, Ask::Deliver { .. });
    let is_receipt = |ask: &Ask| matches!(ask, Ask::DeliverReceipt { .. });
    let behaviours: Vec<Behaviour> = vec![
        // Frames.
        raw(vec![0xff; 4]),
        raw(vec![0, 0, 0, 0]),
        raw(vec![0, 0, 0, 1, 0xff]),
        raw([&[0, 0, 0, 3][..], b"abc"].concat()),
        raw(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        // Order.
        changed(&world, |_, script| drop(script.asks.remove(0))),
        changed(&world, |_, script| script.asks.insert(0, Ask::Documents)),
        changed(&world, |_, script| script.asks.insert(1, Ask::Documents)),
        changed(&world, |_, script| script.asks.insert(1, Ask::Finished)),
        changed(&world, move |_, script| {
            let at = script.position(is_chunk);
            script.asks.swap(at, at + 1);
        }),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_chunk)].clone();
            script.asks.insert(script.position(is_chunk) + 1, ask);
        }),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_list)].clone();
            script.asks.insert(script.position(is_list) + 1, ask);
        }),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_list)].clone();
            script.asks.insert(script.position(is_deliver) + 2, ask);
        }),
        changed(&world, |_, script| {
            let ask = script.asks[1].clone();
            script.asks.insert(2, ask);
        }),
        changed(&world, move |_, script| {
            script.asks.insert(
                script.position(is_chunk),
                Ask::Chunk { dataset: "bids-ada".to_owned(), index: u64::MAX },
            );
        }),
        changed(&world, |_, script| script.asks[1] = Ask::ChunkDigests { dataset: "../../token".to_owned() }),
        // Somebody else's key, ciphertext, context.
        changed(&world, |world, script| {
            let Ask::ReleaseKey { key_id, .. } = key_ask(world, "bids-bea") else { panic!() };
            let Ask::ReleaseKey { key_id: mine, .. } = &mut script.asks[1] else { panic!() };
            *mine = key_id;
        }),
        changed(&world, |_, script| {
            let Ask::ReleaseKey { ciphertext_blob, .. } = &mut script.asks[1] else { panic!() };
            ciphertext_blob.push(0);
        }),
        changed(&world, |_, script| {
            let Ask::ReleaseKey { encryption_context, .. } = &mut script.asks[1] else { panic!() };
            encryption_context.pop();
        }),
        changed(&world, |_, script| {
            let Ask::ReleaseKey { encryption_context, .. } = &mut script.asks[1] else { panic!() };
            encryption_context[1].value = "bids-bea".to_owned();
        }),
        // The end.
        changed(&world, move |_, script| drop(script.asks.remove(script.position(is_receipt)))),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_receipt)].clone();
            script.asks.insert(script.position(is_receipt), ask);
        }),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_deliver)].clone();
            script.asks.insert(script.position(is_receipt) + 1, ask);
        }),
    ];
    let states = ends(&world, behaviours).await;
    for (number, state) in states.iter().enumerate() {
        assert_eq!(reason(state), FailureReason::Protocol, "behaviour {number}: {state:?}");
    }
}

#[tokio::test]
async fn results_that_are_not_the_agreed_ones_end_the_run() {
    let world = Arc::new(World::new());
    let is_deliver = |ask: &Ask| matches!(ask, Ask::Deliver { .. });
    let is_receipt = |ask: &Ask| matches!(ask, Ask::DeliverReceipt { .. });
    let rename = move |to: &'static str| {
        move |_: &World, script: &mut Script| {
            let at = script.position(is_deliver);
            let Ask::Deliver { name, .. } = &mut script.asks[at] else { panic!() };
            *name = to.to_owned();
        }
    };
    let resize = move |by: i64| {
        move |_: &World, script: &mut Script| {
            let at = script.position(is_deliver);
            let Ask::Deliver { size, .. } = &mut script.asks[at] else { panic!() };
            *size = size.saturating_add_signed(by);
        }
    };
    let about = |change: fn(&mut Vec<ResultFile>)| {
        move |world: &World, script: &mut Script| {
            let mut files: Vec<ResultFile> = results(world).into_iter().map(|(file, _)| file).collect();
            change(&mut files);
            let at = script.position(|ask| matches!(ask, Ask::DeliverReceipt { .. }));
            script.asks[at] = Ask::DeliverReceipt { bytes: receipt_about(world, &files) };
        }
    };
    let behaviours: Vec<Behaviour> = vec![
        changed(&world, rename("own.eve.age")),
        changed(&world, rename("../../token")),
        changed(&world, rename("index.json")),
        changed(&world, rename("")),
        changed(&world, resize(-1)),
        changed(&world, resize(1)),
        changed(&world, resize(i64::MAX)),
        changed(&world, resize(-2_000_000)),
        // A piece of nothing, a piece of no file, a file within a file, a file twice, a file too few.
        changed(&world, move |_, script| {
            script.asks.insert(script.position(is_deliver) + 1, Ask::DeliverPiece { bytes: Vec::new() });
        }),
        changed(&world, move |_, script| {
            script.asks.insert(script.position(is_deliver), Ask::DeliverPiece { bytes: vec![1] });
        }),
        changed(&world, move |_, script| {
            let ask = script.asks[script.position(is_deliver)].clone();
            script.asks.insert(script.position(is_deliver), ask);
        }),
        changed(&world, move |_, script| {
            let at = script.position(is_deliver);
            let file: Vec<Ask> = script.asks[at..at + 3].to_vec();
            let receipt = script.position(is_receipt);
            script.asks.splice(receipt..receipt, file);
        }),
        changed(&world, move |_, script| {
            let receipt = script.position(is_receipt);
            script.asks.drain(receipt - 2..receipt);
        }),
        // Receipts about something else.
        changed(&world, about(|files| files[0].sealed = Digest384::ZERO)),
        changed(&world, about(|files| files.swap(0, 1))),
        changed(&world, about(|files| drop(files.pop()))),
        changed(&world, move |_, script| {
            let at = script.position(is_receipt);
            script.asks[at] = Ask::DeliverReceipt { bytes: b"{}".to_vec() };
        }),
        changed(&world, move |world, script| {
            // Of another agreement: another image.
            let other = World::with_program(b"\x7fELF of something else");
            let files: Vec<ResultFile> = results(world).into_iter().map(|(file, _)| file).collect();
            let at = script.position(is_receipt);
            script.asks[at] = Ask::DeliverReceipt { bytes: receipt_about(&other, &files) };
        }),
    ];
    let states = ends(&world, behaviours).await;
    for (number, state) in states.iter().enumerate() {
        assert_eq!(reason(state), FailureReason::Results, "behaviour {number}: {state:?}");
        let RunState::Failed { message, .. } = state else { panic!() };
        assert!(!message.contains("eve") && !message.contains(".."), "the enclave's words: {message}");
    }
}

#[tokio::test]
async fn silence_ends_and_slowness_ends() {
    let world = Arc::new(World::new());
    let first = |world: &Arc<World>, count: usize| {
        let world = world.clone();
        move |stream: UnixStream| {
            let mut talk = entente_channel::EnclaveEnd::new(stream);
            for ask in &Script::new(&world).asks[..count] {
                talk.ask(ask).unwrap();
            }
            std::thread::sleep(Duration::from_secs(8));
        }
    };
    let loads = Script::new(&world).position(|ask| matches!(ask, Ask::Deliver { .. }));
    let drip = |world: &Arc<World>| {
        let world = world.clone();
        move |stream: UnixStream| {
            let mut talk = entente_channel::EnclaveEnd::new(stream.try_clone().unwrap());
            talk.ask(&Script::new(&world).asks[0]).unwrap();
            // One byte of a frame now and then: each in time, the whole never.
            let mut stream = stream;
            for byte in [0, 0, 0, 200].into_iter().chain(std::iter::repeat_n(1, 100)) {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    };
    let started = Instant::now();
    let states = ends(
        &world,
        vec![
            Box::new(|_| std::thread::sleep(Duration::from_secs(8))),
            Box::new(first(&world, 1)),
            // It has all it needs: it computes, as long as a run may take.
            Box::new(first(&world, loads)),
            Box::new(first(&world, loads + 1)),
            Box::new(drip(&world)),
            Box::new(|_| {}),
            Box::new({
                let world = world.clone();
                move |stream| {
                    let mut talk = entente_channel::EnclaveEnd::new(stream);
                    talk.ask(&Script::new(&world).asks[0]).unwrap();
                }
            }),
        ],
    )
    .await;
    let reasons: Vec<FailureReason> = states.iter().map(reason).collect();
    use FailureReason as F;
    assert_eq!(reasons, [F::Boot, F::Silence, F::Deadline, F::Silence, F::Silence, F::Ended, F::Ended]);
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn an_enclave_that_dies_at_any_step_ends_its_run() {
    let world = Arc::new(World::new());
    let steps = Script::new(&world).asks.len();
    let dies_before = |step: usize| -> Behaviour {
        let world = world.clone();
        Box::new(move |stream| {
            let mut talk = entente_channel::EnclaveEnd::new(stream);
            for ask in &Script::new(&world).asks[..step] {
                talk.ask(ask).unwrap();
            }
        })
    };
    // Within a frame, too.
    let dies_within: Behaviour = Box::new(|mut stream| stream.write_all(&[0, 0, 1, 0, 7]).unwrap());
    let states = ends(&world, (0..steps).map(dies_before).chain([dies_within]).collect()).await;
    for (step, state) in states.iter().enumerate() {
        assert_eq!(reason(state), FailureReason::Ended, "step {step}: {state:?}");
    }
}
