//! Reading stored text objects back as values. They were parsed before they were stored: one that does not parse any
//! more was changed on disk.

use std::io;

use entente_agreement::{Agreement, Authorize, InputSet, Manifest, Name, Request};
use entente_attestation::Digest384;

use crate::store::{Kind, Store, StoreError};

fn read<T, E: std::fmt::Display>(
    store: &Store,
    kind: Kind,
    digest: Digest384,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    let damaged = |error: E| StoreError::Io(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
    store.object(kind, &digest)?.map(|bytes| parse(&bytes).map_err(damaged)).transpose()
}

pub(crate) fn agreement(store: &Store, digest: Digest384) -> Result<Option<Agreement>, StoreError> {
    read(store, Kind::Agreement, digest, Agreement::parse)
}

pub(crate) fn manifest(store: &Store, digest: Digest384) -> Result<Option<Manifest>, StoreError> {
    read(store, Kind::Manifest, digest, Manifest::parse)
}

pub(crate) fn inputs(store: &Store, digest: Digest384) -> Result<Option<InputSet>, StoreError> {
    read(store, Kind::Inputs, digest, InputSet::parse)
}

pub(crate) fn request(store: &Store, digest: Digest384) -> Result<Option<Request>, StoreError> {
    read(store, Kind::Request, digest, Request::parse)
}

/// The runner, and every owner where the agreement asks for them (PROTOCOL §0).
pub(crate) fn request_signers(request: &Request, agreement: &Agreement) -> Vec<Name> {
    let mut signers = vec![request.runner().clone()];
    if let Some(analysis) = agreement.analysis(request.analysis())
        && analysis.authorize() == Authorize::Request
    {
        signers.extend(agreement.owners(analysis));
    }
    signers.sort();
    signers.dedup();
    signers
}
