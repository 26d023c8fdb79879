//! Random bodies: a typed problem or success, never a panic, and the host serves on.

use entente_agreement::Namespace;
use entente_attestation::Digest384;
use entente_host::messages::{Problem, ProblemCode};

use crate::fake::Fake;
use crate::world::{Served, World, config};

/// A generator of numbers that are the same in every run of the test.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap()
    }

    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.next() % 3 {
            if bytes.is_empty() {
                return bytes;
            }
            let at = self.next() % bytes.len();
            match self.next() % 6 {
                0 => bytes[at] ^= 1 << (self.next() % 8),
                1 => bytes[at] = u8::try_from(self.next() % 256).unwrap(),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, b"\n\"[]{}=,0a\0\xff"[self.next() % 12]),
                4 => bytes.truncate(at),
                _ => {
                    let end = (at + self.next() % 64).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bodies() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let world = World::new();
    let client = &served.client;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    let ada = &world.sealed["bids-ada"];
    let manifest = client.put_manifest(ada.manifest.bytes()).await.unwrap();
    client.put_manifest_signature(manifest, &ada.signature).await.unwrap();
    client.put_chunk_list(manifest, &ada.chunk_list()).await.unwrap();
    let agreement = world.agreement.digest();
    let approval = world.parties["ada"].sign(Namespace::Agreement, world.agreement.bytes());
    let run = serde_json::to_vec(&world.run()).unwrap();
    let pcr0 = world.image.measurements().pcr0();

    let http = reqwest::Client::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0u32;
    for count in 0..10_000 {
        let (method, path, body) = match count % 8 {
            0 => {
                let body = numbers.mutate(world.agreement.bytes());
                (reqwest::Method::PUT, format!("/v1/agreements/{}", Digest384::of(&body)), body)
            }
            1 => {
                let body = numbers.mutate(ada.manifest.bytes());
                (reqwest::Method::PUT, format!("/v1/manifests/{}", Digest384::of(&body)), body)
            }
            2 => {
                let body = numbers.mutate(world.inputs.bytes());
                (reqwest::Method::PUT, format!("/v1/inputs/{}", Digest384::of(&body)), body)
            }
            3 => {
                let path = format!("/v1/agreements/{agreement}/approvals/ada");
                (reqwest::Method::PUT, path, numbers.mutate(&approval))
            }
            4 => {
                let path = format!("/v1/manifests/{manifest}/chunks");
                (reqwest::Method::PUT, path, numbers.mutate(&ada.chunk_list()))
            }
            5 => (reqwest::Method::PUT, format!("/v1/images/{pcr0}"), numbers.mutate(world.image.bytes())),
            6 => {
                let body = numbers.mutate(world.inputs.bytes());
                (reqwest::Method::PUT, format!("/v1/requests/{}", Digest384::of(&body)), body)
            }
            _ => (reqwest::Method::POST, "/v1/runs".to_owned(), numbers.mutate(&run)),
        };
        let url = format!("{}{path}", served.url);
        let answer = http.request(method, url).bearer_auth(&served.token).body(body).send().await.unwrap();
        if !answer.status().is_success() {
            let problem: Problem = answer.json().await.unwrap();
            assert_ne!(problem.code, ProblemCode::Storage, "{path}");
            refused += 1;
        }
    }
    // A comment or a line break more may leave an agreement or a signature good.
    assert!(refused > 9_000, "{refused}");
    assert_eq!(client.health().await.unwrap().status, "ok");
    assert!(client.runs(None, 10).await.unwrap().runs.is_empty());
    served.end().await;
}

#[test]
fn ten_thousand_configurations() {
    let config = b"[limits]\nconcurrent_runs = 7\nsealed_bytes = 1000000\n[timeouts]\nask = 9\n[local]\nca = \"ca\"\n\
        [[key_service]]\naccount = \"111122223333\"\nendpoint = \"http://127.0.0.1:9001\"\naccess_key_id = \"AKIA\"\n\
        secret_access_key_file = \"secret\"\n";
    entente_host::Config::from_toml("d", std::str::from_utf8(config).unwrap()).unwrap();
    let mut numbers = Numbers(7);
    for _ in 0..10_000 {
        if let Ok(text) = String::from_utf8(numbers.mutate(config)) {
            // A typed error or a configuration.
            drop(entente_host::Config::from_toml("d", &text));
        }
    }
}

#[tokio::test]
async fn a_damaged_database_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("host");
    let served = Served::start(config(&directory), Fake::none()).await;
    let world = World::new();
    served.client.put_agreement(world.agreement.bytes()).await.unwrap();
    served.end().await;
    let database = directory.join("facts.redb");
    let genuine = std::fs::read(&database).unwrap();
    let mut numbers = Numbers(11);
    let mut refused = 0;
    for count in 0..400 {
        let mut bytes = genuine.clone();
        if count % 8 == 0 {
            bytes.truncate(numbers.next() % bytes.len());
        }
        // The header holds what decides how the rest is read.
        let span = if count % 2 == 0 { 512 } else { bytes.len() };
        for _ in 0..=numbers.next() % 4 {
            if !bytes.is_empty() {
                let at = numbers.next() % span.min(bytes.len());
                bytes[at] ^= 1 << (numbers.next() % 8);
            }
        }
        std::fs::write(&database, &bytes).unwrap();
        match entente_host::Host::with_platform(config(&directory), Fake::none()) {
            Ok(host) => drop(host),
            Err(entente_host::OpenError::Store(entente_host::OpenStoreError::Database { .. })) => {
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    // Without the database nothing tells what the files are: they are not taken for rubbish.
    std::fs::write(directory.join("images/kept.eif"), b"x").unwrap();
    std::fs::remove_file(&database).unwrap();
    let error = entente_host::Host::with_platform(config(&directory), Fake::none()).unwrap_err();
    assert!(
        matches!(error, entente_host::OpenError::Store(entente_host::OpenStoreError::Lost { .. })),
        "{error}"
    );
    assert!(directory.join("images/kept.eif").exists());
}
