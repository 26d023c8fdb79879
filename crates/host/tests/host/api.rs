//! Routes, tokens, problems, limits.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use entente_agreement::Namespace;
use entente_attestation::Digest384;
use entente_host::client::Client;
use entente_host::messages::{Problem, ProblemCode};
use entente_host::{Config, Host, Limits, OpenError, OpenStoreError, ServeError, Timeouts};

use crate::fake::Fake;
use crate::world::{Served, World, config, timeouts};

#[test]
fn the_description_is_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let found = Host::openapi();
    if std::env::var_os("ENTENTE_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == found,
        "the API changed: look at the difference, then run the test with ENTENTE_UPDATE_GOLDEN=1"
    );
}

#[tokio::test]
async fn every_described_route_is_there_and_wants_the_token() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let http = reqwest::Client::new();
    let described: serde_json::Value =
        http.get(format!("{}/openapi.json", served.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let mut count = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = format!("{}{path}", served.url).replace('{', "").replace('}', "");
            let bare = http.request(method.clone(), &url).send().await.unwrap();
            if path == "/healthz" {
                assert_eq!(bare.status(), 200);
                continue;
            }
            assert_eq!(bare.status(), 401, "{method} {path}");
            let problem: Problem = bare.json().await.unwrap();
            assert_eq!(problem.code, ProblemCode::Unauthorized);
            for wrong in ["", "x", &"0".repeat(64), &served.token[..63], &format!("{}0", served.token)] {
                let refused = http.request(method.clone(), &url).bearer_auth(wrong).send().await.unwrap();
                assert_eq!(refused.status(), 401, "{method} {path} {wrong:?}");
            }
            // With the token the route is reached: it finds fault with the path or the body.
            let reached = http.request(method.clone(), &url).bearer_auth(&served.token).send().await.unwrap();
            let status = reached.status();
            if !status.is_success() {
                let problem: Problem = reached.json().await.unwrap();
                let code = problem.code;
                assert!(
                    matches!(code, ProblemCode::MalformedPath | ProblemCode::MalformedBody),
                    "{method} {path}: {code:?}"
                );
            }
            count += 1;
        }
    }
    assert_eq!(count, 44);
    served.end().await;
}

#[tokio::test]
async fn what_is_not_a_route_is_a_problem_too() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let http = reqwest::Client::new();
    for (method, path, status, code) in [
        ("GET", "/", 404, ProblemCode::NoSuchRoute),
        ("GET", "/v2/runs", 404, ProblemCode::NoSuchRoute),
        ("PATCH", "/v1/runs", 405, ProblemCode::MethodNotAllowed),
        ("GET", "/v1/runs?limit=0", 400, ProblemCode::MalformedPath),
        ("GET", "/v1/runs?limit=1001", 400, ProblemCode::MalformedPath),
        ("GET", "/v1/runs?limit=x", 400, ProblemCode::MalformedPath),
        ("GET", "/v1/runs?unknown=1", 400, ProblemCode::MalformedPath),
        ("GET", "/v1/runs/%ff", 400, ProblemCode::MalformedPath),
        ("GET", "/v1/runs/00000000000000000000000000000000", 404, ProblemCode::UnknownRun),
        ("GET", "/v1/runs/0000000000000000000000000000000A", 400, ProblemCode::MalformedPath),
        (
            "GET",
            "/v1/runs/00000000000000000000000000000000/results/..%2f..%2ftoken",
            404,
            ProblemCode::UnknownRun,
        ),
        (
            "GET",
            "/v1/runs/00000000000000000000000000000000/events?wait_seconds=31",
            400,
            ProblemCode::MalformedPath,
        ),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", served.url);
        let answer = http.request(method, url).bearer_auth(&served.token).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let problem: Problem = answer.json().await.unwrap();
        assert_eq!(problem.code, code, "{path}");
        assert!(problem.message.ends_with('.') && problem.action.ends_with('.'), "{problem:?}");
    }
    served.end().await;
}

#[tokio::test]
async fn objects_are_verified_before_they_are_stored() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let (client, world) = (&served.client, World::new());
    let code = |result: Result<(), entente_host::client::ClientError>| result.unwrap_err().code().unwrap();
    let agreement = world.agreement.digest();

    // Nothing refers to what is not here.
    assert_eq!(
        code(client.put_manifest(world.sealed["bids-ada"].manifest.bytes()).await.map(drop)),
        ProblemCode::MissingReference
    );
    assert_eq!(code(client.put_inputs(world.inputs.bytes()).await.map(drop)), ProblemCode::MissingReference);
    assert_eq!(code(client.agreement(agreement).await.map(drop)), ProblemCode::UnknownAgreement);

    // Not an agreement; the problem says where.
    let error = client.put_agreement(b"type = \"entente/agreement/v1\"\nnonsense\n").await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::ObjectRefused));
    assert!(error.to_string().contains("line 2"), "{error}");

    client.put_agreement(world.agreement.bytes()).await.unwrap();
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    assert_eq!(client.agreement_text(agreement).await.unwrap(), world.agreement.bytes());

    // Approvals: the right key, namespace and bytes, by a party.
    let (ada, bea) = (&world.parties["ada"], &world.parties["bea"]);
    let good = ada.sign(Namespace::Agreement, world.agreement.bytes());
    for (party, armored) in [
        ("ada", bea.sign(Namespace::Agreement, world.agreement.bytes())),
        ("ada", ada.sign(Namespace::Inputs, world.agreement.bytes())),
        ("ada", ada.sign(Namespace::Agreement, b"other bytes")),
        ("bea", good.clone()),
        ("ada", b"garbage".to_vec()),
        ("ada", Vec::new()),
    ] {
        assert_eq!(
            code(client.put_approval(agreement, party, &armored).await),
            ProblemCode::SignatureRefused
        );
    }
    assert_eq!(code(client.put_approval(agreement, "eve", &good).await), ProblemCode::UnknownParty);
    assert_eq!(code(client.approval(agreement, "ada").await.map(drop)), ProblemCode::UnknownSignature);
    client.put_approval(agreement, "ada", &good).await.unwrap();
    assert_eq!(client.approval(agreement, "ada").await.unwrap(), good);
    let facts = client.agreement(agreement).await.unwrap();
    let approvals: Vec<_> =
        facts.approvals.iter().map(|state| (state.party.as_str(), state.present)).collect();
    assert_eq!(approvals, [("ada", true), ("bea", false)]);
    assert!(!facts.images[0].present);

    // A path's digest binds the body.
    let http = reqwest::Client::new();
    let url = format!("{}/v1/agreements/{}", served.url, Digest384::ZERO);
    let answer =
        http.put(url).bearer_auth(&served.token).body(world.agreement.bytes().to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.json::<Problem>().await.unwrap().code, ProblemCode::DigestMismatch);

    // Images are what they measure to.
    let pcr0 = *world.image.measurements().pcr0();
    assert_eq!(code(client.put_image(pcr0, b"no image").await.map(drop)), ProblemCode::ImageRefused);
    assert_eq!(
        code(client.put_image(Digest384::ZERO, world.image.bytes()).await.map(drop)),
        ProblemCode::ImageRefused
    );
    let stored = client.put_image(pcr0, world.image.bytes()).await.unwrap();
    assert_eq!(stored.pcr2, *world.image.measurements().pcr2());
    assert!(client.agreement(agreement).await.unwrap().images[0].present);
    let url = format!("{}/v1/images/{pcr0}/eif", served.url);
    let eif = http.get(url).bearer_auth(&served.token).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(eif, world.image.bytes());
    client.remove_image(pcr0).await.unwrap();
    assert_eq!(code(client.remove_image(pcr0).await), ProblemCode::UnknownImage);
    assert!(client.images().await.unwrap().images.is_empty());

    assert_eq!(client.agreements(None, 10).await.unwrap().agreements.len(), 1);
    assert!(client.agreements(Some(agreement), 10).await.unwrap().agreements.is_empty());
    served.end().await;
    assert_eq!(std::fs::read_dir(data.path().join("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_run_is_taken_only_when_all_it_needs_is_here() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let (client, world) = (&served.client, World::new());
    let missing = |part: &'static str| {
        let run = world.run();
        async move {
            let error = client.create_run(&run).await.unwrap_err();
            assert_eq!(error.code(), Some(ProblemCode::RunIncomplete), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    };
    missing("agreement").await;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    for party in ["ada", "bea"] {
        missing(party).await;
        let approval = world.parties[party].sign(Namespace::Agreement, world.agreement.bytes());
        client.put_approval(world.agreement.digest(), party, &approval).await.unwrap();
    }
    missing("input set").await;
    let inputs = client.put_inputs(world.inputs.bytes()).await.unwrap();
    for party in ["ada", "bea"] {
        missing(party).await;
        let signature = world.parties[party].sign(Namespace::Inputs, world.inputs.bytes());
        client.put_inputs_signature(inputs, party, &signature).await.unwrap();
    }
    for (dataset, sealed) in &world.sealed {
        missing("manifest").await;
        let manifest = client.put_manifest(sealed.manifest.bytes()).await.unwrap();
        missing("signature").await;
        let listing = client.put_chunk_list(manifest, &sealed.chunk_list()).await.unwrap_err();
        assert_eq!(listing.code(), Some(ProblemCode::ManifestUnsigned));
        client.put_manifest_signature(manifest, &sealed.signature).await.unwrap();
        missing("in full").await;
        let path = scratch.path().join(dataset);
        std::fs::write(&path, &sealed.bytes).unwrap();
        let file = entente_host::client::SealedFile::new(sealed.manifest.bytes(), &sealed.signature, &path);
        client.upload_sealed(file, |_| {}).await.unwrap();
    }
    assert!(client.inputs(inputs).await.unwrap().datasets.iter().all(|dataset| dataset.ready));
    missing("image").await;
    assert!(client.runs(None, 10).await.unwrap().runs.is_empty());
    served.end().await;
}

#[tokio::test]
async fn limits_are_limits() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new();
    let limits = Limits {
        objects: 1,
        images: 1,
        image_bytes: 64 * 1024,
        stored_bytes: 2_000_000,
        ..Limits::default()
    };
    let served = Served::start(config(data.path()).with_limits(limits).unwrap(), Fake::none()).await;
    let client = &served.client;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    let other = String::from_utf8(world.agreement.bytes().to_vec()).unwrap().replace("8f14e45f", "00000000");
    let error = client.put_agreement(other.as_bytes()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::LimitReached));

    // A sealed file that does not fit is refused when its list comes, not after its bytes.
    let sealed = &world.sealed["bids-ada"];
    let manifest = client.put_manifest(sealed.manifest.bytes()).await.unwrap();
    client.put_manifest_signature(manifest, &sealed.signature).await.unwrap();
    let error = client.put_chunk_list(manifest, &sealed.chunk_list()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::LimitReached));
    assert!(!client.manifest(manifest).await.unwrap().listed);

    // Bodies.
    let http = reqwest::Client::new();
    let zero = Digest384::ZERO;
    for (path, most) in [
        (format!("/v1/agreements/{zero}"), 256 << 10),
        (format!("/v1/agreements/{}/approvals/ada", world.agreement.digest()), 16 << 10),
        (format!("/v1/manifests/{manifest}/chunks/0"), 1 << 20),
        (format!("/v1/images/{zero}"), 64 << 10),
    ] {
        let url = format!("{}{path}", served.url);
        let answer =
            http.put(&url).bearer_auth(&served.token).body(vec![b'a'; most + 1]).send().await.unwrap();
        assert_eq!(answer.status(), 413, "{path}");
        assert_eq!(answer.json::<Problem>().await.unwrap().code, ProblemCode::BodyTooLarge);
    }
    let url = format!("{}/v1/runs", served.url);
    let answer =
        http.post(url).bearer_auth(&served.token).body(vec![b' '; 16 * 1024 + 1]).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    served.end().await;
}

#[tokio::test]
async fn slow_and_many_requests_are_ended() {
    let data = tempfile::tempdir().unwrap();
    let times = Timeouts { header: Duration::from_secs(1), request: Duration::from_secs(1), ..timeouts() };
    let limits = Limits { requests: 1, ..Limits::default() };
    let served =
        Served::start(config(data.path()).with_timeouts(times).with_limits(limits).unwrap(), Fake::none())
            .await;
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let token = served.token.clone();

    // A body that never ends holds the only place, for a second.
    let slow = tokio::task::spawn_blocking({
        let (address, token) = (address.clone(), token.clone());
        move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let head = format!(
                "PUT /v1/agreements/{} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\nab",
                Digest384::ZERO
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let http = reqwest::Client::new();
    let busy = http.get(format!("{}/v1/runs", served.url)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(busy.status(), 503);
    assert_eq!(busy.json::<Problem>().await.unwrap().code, ProblemCode::Busy);
    let answer = slow.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("too-slow"), "{answer}");

    // Headers that never end.
    let headers = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = headers.await.unwrap().unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    served.client.runs(None, 1).await.unwrap();
    served.end().await;
}

#[tokio::test]
async fn the_token_is_the_owners_and_the_directory_has_one_host() {
    let data = tempfile::tempdir().unwrap();
    let host = Host::with_platform(Config::new(data.path()), Fake::none()).unwrap();
    let path = host.token_path().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = Host::with_platform(Config::new(data.path()), Fake::none()).unwrap_err();
    assert!(matches!(&error, OpenError::Store(OpenStoreError::Locked { .. })), "{error}");
    assert!(error.to_string().contains("in use by another host"), "{error}");

    // Not loopback, not by name.
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = host.serve(listener, async {}).await.unwrap_err();
    assert!(matches!(error, ServeError::Exposed { .. }));
    let host = Host::with_platform(Config::new(data.path()).listen_behind_tls_proxy(), Fake::none()).unwrap();
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    host.serve(listener, async {}).await.unwrap();

    let token = std::fs::read_to_string(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Host::with_platform(Config::new(data.path()), Fake::none()).unwrap_err();
    assert!(matches!(error, OpenError::Secret(_)), "{error}");
    assert!(Client::open("http://127.0.0.1:1", &path).is_err());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    drop(Host::with_platform(Config::new(data.path()), Fake::none()).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
    for url in ["https://127.0.0.1", "http://127.0.0.1/x", "127.0.0.1:1", "http://a@b", "file:///x"] {
        assert!(Client::open(url, &path).is_err(), "{url}");
    }
}
