//! Sealed files in chunks.

use entente_attestation::Digest384;
use entente_host::client::{ClientError, SealedFile};
use entente_host::messages::{ChunkRange, ProblemCode};

use crate::fake::Fake;
use crate::world::{Served, World, config};

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new();
    let sealed = &world.sealed["bids-ada"];
    let path = data.path().join("sealed");
    std::fs::write(&path, &sealed.bytes).unwrap();
    let directory = data.path().join("host");

    let served = Served::start(config(&directory), Fake::none()).await;
    let client = &served.client;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    let manifest = client.put_manifest(sealed.manifest.bytes()).await.unwrap();
    client.put_manifest_signature(manifest, &sealed.signature).await.unwrap();

    let refused = client.put_chunk(manifest, 0, &sealed.bytes[..1 << 20]).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::UnknownChunk));
    let mut other = sealed.chunk_list();
    other[0] ^= 1;
    let refused = client.put_chunk_list(manifest, &other).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::DigestMismatch));
    let listed = client.put_chunk_list(manifest, &sealed.chunk_list()).await.unwrap();
    assert_eq!((listed.chunk_count, listed.missing_count), (3, 3));
    assert_eq!(listed.missing, [ChunkRange { first: 0, last: 2 }]);

    // Out of order, twice, wrong, and beyond.
    client.put_chunk(manifest, 1, &sealed.bytes[1 << 20..2 << 20]).await.unwrap();
    client.put_chunk(manifest, 1, &sealed.bytes[1 << 20..2 << 20]).await.unwrap();
    for (number, bytes) in [(0, &sealed.bytes[1 << 20..2 << 20]), (0, &[][..]), (1, &sealed.bytes[..1 << 20])]
    {
        let refused = client.put_chunk(manifest, number, bytes).await.unwrap_err();
        assert_eq!(refused.code(), Some(ProblemCode::DigestMismatch));
    }
    let refused = client.put_chunk(manifest, 3, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::UnknownChunk));
    let missing = client.missing_chunks(manifest).await.unwrap();
    assert_eq!(missing.missing, [ChunkRange { first: 0, last: 0 }, ChunkRange { first: 2, last: 2 }]);
    served.end().await;

    // Another life of the host; the client asks what is missing and sends just that.
    let served = Served::start(config(&directory), Fake::none()).await;
    let client = &served.client;
    let mut steps = Vec::new();
    let file = SealedFile::new(sealed.manifest.bytes(), &sealed.signature, &path);
    client.upload_sealed(file, |progress| steps.push(progress.done_bytes())).await.unwrap();
    assert_eq!(steps, [1 << 20, 2 << 20, 2_500_000, 2_500_000]);
    let facts = client.manifest(manifest).await.unwrap();
    assert!(facts.signed && facts.listed && facts.complete);

    // Another file under the same manifest.
    let sealed = &world.sealed["bids-bea"];
    std::fs::write(&path, vec![0; sealed.bytes.len()]).unwrap();
    let file = SealedFile::new(sealed.manifest.bytes(), &sealed.signature, &path);
    let error = client.upload_sealed(file, |_| {}).await.unwrap_err();
    assert!(matches!(error, ClientError::OtherFile { .. }), "{error}");

    client.remove_sealed(manifest).await.unwrap();
    let facts = client.manifest(manifest).await.unwrap();
    assert!(facts.signed && !facts.listed && !facts.complete);
    let refused = client.remove_sealed(manifest).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::UnknownChunk));
    assert!(!directory.join("sealed").join(manifest.to_string()).exists());
    served.end().await;
}

#[tokio::test]
async fn a_list_must_fit_the_files_size() {
    use entente_agreement::{Manifest, ManifestTerms, Namespace};
    let data = tempfile::tempdir().unwrap();
    let world = World::new();
    let served = Served::start(config(data.path()), Fake::none()).await;
    let client = &served.client;
    client.put_agreement(world.agreement.bytes()).await.unwrap();
    let genuine = &world.sealed["bids-ada"];
    let list = genuine.chunk_list();
    let manifest = Manifest::new(&ManifestTerms {
        agreement: world.agreement.digest(),
        dataset: genuine.manifest.dataset().clone(),
        owner: genuine.manifest.owner().clone(),
        sealing: genuine.manifest.sealing(),
        format: genuine.manifest.format(),
        bytes: (1 << 20) + 1,
        chunks: Digest384::of(&list),
        wrapped_key: vec![1],
        commitment: [0; 48],
    })
    .unwrap();
    let digest = client.put_manifest(manifest.bytes()).await.unwrap();
    let signature = world.parties["ada"].sign(Namespace::Manifest, manifest.bytes());
    client.put_manifest_signature(digest, &signature).await.unwrap();
    let refused = client.put_chunk_list(digest, &list).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::ObjectRefused));
    served.end().await;
}
