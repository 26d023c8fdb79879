//! What is kept on disk: one redb file, and beside it the root key that everything secret in it is wrapped under.
//!
//! Every change is one redb transaction, durable when it returns. The root key file is 64 hex digits, readable by its owner alone; whoever has both files
//! has all keys.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::blob::Material;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const CREDENTIALS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("credentials");

const DATABASE: &str = "keyservice.redb";
const ROOT_KEY: &str = "root.key";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There is a store already.
    #[error("{} holds a key service already", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// There is none.
    #[error("{} holds no key service: make one first", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The root key file can be read by others.
    #[error("{} can be read by others (mode {mode:o}): it must be 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The root key file is not one, or not this store's.
    #[error("{} is not the root key of this store", path.display())]
    RootKey {
        /// The file.
        path: PathBuf,
    },
    /// The database.
    #[error("the database: {0}")]
    Database(#[source] Box<redb::Error>),
    /// A record that this version cannot read, or that somebody changed.
    #[error("the record {name:?} is damaged")]
    Record {
        /// Which.
        name: String,
    },
    /// aws-lc or the system's generator failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

fn database(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

/// What the service is, written once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) format: u32,
    pub(crate) account: String,
    pub(crate) region: String,
    /// DER of a simulated root; none: AWS's.
    pub(crate) simulated_root: Option<Vec<u8>>,
    /// A known text wrapped under the root key: tells the right root key from another.
    root_check: Vec<u8>,
}

/// State of a key, by AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
}

/// A key. Times are milliseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRecord {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) description: String,
    pub(crate) state: KeyState,
    pub(crate) deletion: Option<u64>,
    pub(crate) policy: String,
    /// Versions of the key material, wrapped under the root key; the last one encrypts.
    pub(crate) materials: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialRecord {
    principal: String,
    secret: Vec<u8>,
}

pub(crate) struct Store {
    database: Database,
    root: LessSafeKey,
    identity: Identity,
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Crypto)?;
    Ok(bytes)
}

impl Store {
    pub(crate) fn create(
        dir: &Path,
        account: &str,
        region: &str,
        simulated_root: Option<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |cause| StoreError::File { path, cause }
        };
        let path = dir.join(DATABASE);
        if path.exists() {
            return Err(StoreError::Exists { path: dir.to_owned() });
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file(dir))?;
        let key_path = dir.join(ROOT_KEY);
        // A root key without database is left over from an attempt that was cut off here: it protects nothing yet.
        if !key_path.exists() {
            let temporary = dir.join("root.key.new");
            let text = Zeroizing::new(hex::encode(Zeroizing::new(random::<32>()?)));
            // A mode is given to new files only.
            if temporary.exists() {
                std::fs::remove_file(&temporary).map_err(file(&temporary))?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut key_file = options.open(&temporary).map_err(file(&temporary))?;
            key_file.write_all(text.as_bytes()).map_err(file(&temporary))?;
            key_file.sync_all().map_err(file(&temporary))?;
            std::fs::rename(&temporary, &key_path).map_err(file(&key_path))?;
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(file(dir))?;
        }
        let root = load_root(&key_path)?;
        let identity = Identity {
            format: 1,
            account: account.to_owned(),
            region: region.to_owned(),
            simulated_root,
            root_check: wrap(&root, "root check", b"entente-keyservice/v1")?,
        };
        // The database gets its name only when it is complete.
        let temporary = dir.join("keyservice.redb.new");
        if temporary.exists() {
            std::fs::remove_file(&temporary).map_err(file(&temporary))?;
        }
        let database_file = Database::create(&temporary).map_err(database)?;
        let transaction = database_file.begin_write().map_err(database)?;
        {
            let mut meta = transaction.open_table(META).map_err(database)?;
            meta.insert("identity", encode("identity", &identity)?.as_slice()).map_err(database)?;
            transaction.open_table(KEYS).map_err(database)?;
            transaction.open_table(CREDENTIALS).map_err(database)?;
        }
        transaction.commit().map_err(database)?;
        drop(database_file);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&temporary, mode).map_err(file(&temporary))?;
        std::fs::rename(&temporary, &path).map_err(file(&path))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(file(dir))?;
        Self::open(dir)
    }

    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        if !path.exists() {
            return Err(StoreError::Missing { path: dir.to_owned() });
        }
        let key_path = dir.join(ROOT_KEY);
        let root = load_root(&key_path)?;
        let opened = Database::open(&path).map_err(database)?;
        let identity: Identity = {
            let transaction = opened.begin_read().map_err(database)?;
            let meta = transaction.open_table(META).map_err(database)?;
            let record = meta.get("identity").map_err(database)?;
            let record = record.ok_or_else(|| StoreError::Record { name: "identity".to_owned() })?;
            decode("identity", record.value())?
        };
        let checked = unwrap(&root, "root check", &identity.root_check);
        if checked.is_none_or(|text| text.as_slice() != b"entente-keyservice/v1") {
            return Err(StoreError::RootKey { path: key_path });
        }
        if identity.format != 1 {
            return Err(StoreError::Record { name: "identity".to_owned() });
        }
        Ok(Self { database: opened, root, identity })
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn key(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let keys = transaction.open_table(KEYS).map_err(database)?;
        keys.get(id).map_err(database)?.map(|record| decode(id, record.value())).transpose()
    }

    /// Up to `limit` ids that come after `after`, ascending.
    pub(crate) fn key_ids(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let keys = transaction.open_table(KEYS).map_err(database)?;
        let mut ids = Vec::new();
        for entry in keys.range::<&str>(after..).map_err(database)? {
            let (id, _) = entry.map_err(database)?;
            if id.value() != after {
                ids.push(id.value().to_owned());
            }
            if ids.len() >= limit {
                break;
            }
        }
        Ok(ids)
    }

    pub(crate) fn insert_key(&self, record: &KeyRecord) -> Result<(), StoreError> {
        self.put(KEYS, &record.id, &encode(&record.id, record)?)
    }

    /// Changes a key in one transaction. `None`: there is no such key. If `change` refuses, nothing is changed.
    pub(crate) fn change_key<T, E>(
        &self,
        id: &str,
        change: impl FnOnce(&mut KeyRecord) -> Result<T, E>,
    ) -> Result<Option<Result<T, E>>, StoreError> {
        let transaction = self.database.begin_write().map_err(database)?;
        let outcome = {
            let mut keys = transaction.open_table(KEYS).map_err(database)?;
            let found: Option<KeyRecord> =
                keys.get(id).map_err(database)?.map(|record| decode(id, record.value())).transpose()?;
            let Some(mut record) = found else { return Ok(None) };
            let outcome = change(&mut record);
            if outcome.is_ok() {
                keys.insert(id, encode(id, &record)?.as_slice()).map_err(database)?;
            }
            outcome
        };
        transaction.commit().map_err(database)?;
        Ok(Some(outcome))
    }

    pub(crate) fn new_material(&self, key: &str, version: u32) -> Result<Vec<u8>, StoreError> {
        wrap(&self.root, &material_name(key, version), &*Zeroizing::new(random::<32>()?))
    }

    pub(crate) fn material(&self, record: &KeyRecord, version: u32) -> Result<Option<Material>, StoreError> {
        let index = usize::try_from(version).map_err(|_| StoreError::Crypto)?;
        let Some(wrapped) = record.materials.get(index) else { return Ok(None) };
        let name = material_name(&record.id, version);
        let bytes = unwrap(&self.root, &name, wrapped).ok_or(StoreError::Record { name })?;
        let mut material = Zeroizing::new([0; 32]);
        if bytes.len() != material.len() {
            return Err(StoreError::Record { name: record.id.clone() });
        }
        material.copy_from_slice(&bytes);
        Ok(Some(Material::new(material)))
    }

    pub(crate) fn insert_credential(
        &self,
        id: &str,
        principal: &str,
        secret: &str,
    ) -> Result<(), StoreError> {
        let secret = wrap(&self.root, &credential_name(id, principal), secret.as_bytes())?;
        let record = CredentialRecord { principal: principal.to_owned(), secret };
        self.put(CREDENTIALS, id, &encode(id, &record)?)
    }

    /// Principal and secret of an access key.
    pub(crate) fn credential(&self, id: &str) -> Result<Option<StoredCredential>, StoreError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let credentials = transaction.open_table(CREDENTIALS).map_err(database)?;
        let Some(record) = credentials.get(id).map_err(database)? else { return Ok(None) };
        let record: CredentialRecord = decode(id, record.value())?;
        let damaged = || StoreError::Record { name: id.to_owned() };
        let secret = unwrap(&self.root, &credential_name(id, &record.principal), &record.secret)
            .ok_or_else(damaged)?;
        let secret = Zeroizing::new(std::str::from_utf8(&secret).map_err(|_| damaged())?.to_owned());
        Ok(Some(StoredCredential { principal: record.principal, secret }))
    }

    fn put(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        name: &str,
        record: &[u8],
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(database)?;
        transaction.open_table(table).map_err(database)?.insert(name, record).map_err(database)?;
        transaction.commit().map_err(database)
    }
}

pub(crate) struct StoredCredential {
    pub(crate) principal: String,
    pub(crate) secret: Zeroizing<String>,
}

fn material_name(key: &str, version: u32) -> String {
    format!("key {key} version {version}")
}

fn credential_name(id: &str, principal: &str) -> String {
    format!("access key {id} of {principal}")
}

fn encode(name: &str, record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|_| StoreError::Record { name: name.to_owned() })
}

fn decode<T: for<'a> Deserialize<'a>>(name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Record { name: name.to_owned() })
}

fn load_root(path: &Path) -> Result<LessSafeKey, StoreError> {
    let file = |cause| StoreError::File { path: path.to_owned(), cause };
    let mut opened = File::open(path).map_err(file)?;
    let mode = opened.metadata().map_err(file)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Exposed { path: path.to_owned(), mode });
    }
    let wrong = || StoreError::RootKey { path: path.to_owned() };
    // Room for more than there should be, so that the buffer never moves.
    let mut text = Zeroizing::new(Vec::with_capacity(128));
    (&mut opened).take(100).read_to_end(&mut text).map_err(file)?;
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice()).map_err(|_| wrong())?;
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|_| wrong())?))
}

/// AES-256-GCM under the root key: 12 random bytes, ciphertext, tag. The name is additional data, so that no record can take another's place. Records are
/// written by administrators' calls, far below the 2^32 after which random nonces wear a key out.
fn wrap(root: &LessSafeKey, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
    let nonce: [u8; NONCE_LEN] = random()?;
    let mut body = Zeroizing::new(plaintext.to_vec());
    let tag = root
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut body)
        .map_err(|_| StoreError::Crypto)?;
    Ok([&nonce[..], &body, tag.as_ref()].concat())
}

fn unwrap(root: &LessSafeKey, name: &str, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = wrapped.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = Zeroizing::new(sealed.to_vec());
    let length = root.open_in_place(nonce, Aad::from(name), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_opens_with_its_own_root_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        drop(Store::create(&one, "111122223333", "eu-central-1", None).unwrap());
        drop(Store::create(&two, "111122223333", "eu-central-1", None).unwrap());
        assert!(matches!(Store::create(&one, "1", "x", None), Err(StoreError::Exists { .. })));
        assert_eq!(Store::open(&one).unwrap().identity().account, "111122223333");
        std::fs::copy(two.join(ROOT_KEY), one.join(ROOT_KEY)).unwrap();
        assert!(matches!(Store::open(&one), Err(StoreError::RootKey { .. })));
        std::fs::set_permissions(two.join(ROOT_KEY), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Store::open(&two), Err(StoreError::Exposed { mode: 0o640, .. })));
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Missing { .. })));
    }

    #[test]
    fn an_init_that_was_cut_off_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("root.key.new"), "half").unwrap();
        std::fs::write(dir.path().join("keyservice.redb.new"), "half").unwrap();
        drop(Store::create(dir.path(), "111122223333", "eu-central-1", None).unwrap());
    }

    #[test]
    fn no_secret_is_in_the_database_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path(), "111122223333", "eu-central-1", None).unwrap();
        store.insert_credential("AKID", "p", "a very secret access key").unwrap();
        let wrapped = store.new_material("k", 0).unwrap();
        let record = KeyRecord {
            id: "k".to_owned(),
            created: 0,
            description: String::new(),
            state: KeyState::Enabled,
            deletion: None,
            policy: String::new(),
            materials: vec![wrapped.clone(), wrapped],
        };
        store.insert_key(&record).unwrap();
        let material = *store.material(&record, 0).unwrap().unwrap().expose_secret();
        // The second one is the first one's bytes in another place.
        assert!(matches!(store.material(&record, 1), Err(StoreError::Record { .. })));
        assert!(store.material(&record, 2).unwrap().is_none());
        assert_eq!(store.credential("AKID").unwrap().unwrap().secret.as_str(), "a very secret access key");
        drop(store);
        let bytes = std::fs::read(dir.path().join(DATABASE)).unwrap();
        for secret in [&b"a very secret access key"[..], &material] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}
