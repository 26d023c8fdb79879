//! The certificate authority of this machine, and the chain under it that signs documents.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use entente_attestation::UnixTime;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
};

const ROOT_NAME: &str = "SIMULATED entente.nitro-enclaves";
const ORGANIZATION: &str = "Entente SIMULATED";
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
const ROOT_LIFE: Duration = Duration::from_secs(30 * 365 * DAY);
/// Lifetimes of AWS's certificates, as seen in real documents (WIRE.md).
const REGIONAL_LIFE: Duration = Duration::from_secs(20 * DAY + HOUR);
const ZONAL_LIFE: Duration = Duration::from_secs(143 * HOUR);
const INSTANCE_LIFE: Duration = Duration::from_secs(DAY);
const LEAF_LIFE: Duration = Duration::from_secs(3 * HOUR + 3);
/// A chain whose leaf ends sooner than this is replaced before it signs: a document is to be usable for a while.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// Hardware's leaves begin some seconds before the document's time.
const BACKDATED: Duration = Duration::from_secs(3);
/// `keyUsage` digitalSignature and nonRepudiation, not critical, as in AWS's leaves (OID 2.5.29.15).
const LEAF_KEY_USAGE: (&[u64], [u8; 4]) = (&[2, 5, 29, 15], [0x03, 0x02, 0x06, 0xc0]);

const KEY_FILE: &str = "root.key";
const PEM_FILE: &str = "root.pem";
const DER_FILE: &str = "root.der";
/// A P-384 key in PEM has about 300 bytes and the certificate about 600; more than this is no file of ours.
const FILE_LIMIT: u64 = 16 << 10;

/// Why there is no authority or no chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file of an authority is already there; nothing was changed.
    #[error("{} already exists: a certificate authority is never overwritten", path.display())]
    Exists {
        /// That file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// That file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files are not a key and its certificate as this program makes them.
    #[error("{} does not hold a certificate authority of this program", path.display())]
    Content {
        /// The directory.
        path: PathBuf,
    },
    /// Making a certificate failed.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A key is not one for ECDSA on P-384.
    #[error("not a P-384 key")]
    Key,
}

/// The simulated counterpart of AWS's Nitro root: a P-384 key and its self-signed certificate.
///
/// # Security
///
/// Whoever has the key can sign any document under this root. It is a file (`root.key`, mode 0600).
#[derive(Clone)]
pub struct CertificateAuthority {
    key_pkcs8: Vec<u8>,
    certificate: Vec<u8>,
}

impl CertificateAuthority {
    /// Makes one in memory. Its certificate is valid from a day before `now` for 30 years.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Certificate`] if a key or certificate cannot be made.
    pub fn generate(now: UnixTime) -> Result<Self, AuthorityError> {
        let (key, certificate) = root(now)?;
        Ok(Self { key_pkcs8: key.serialize_der(), certificate: certificate.der().to_vec() })
    }

    /// Makes one in a directory: `root.key` (0600), `root.pem`, `root.der`. The directory is made with mode 0700 if
    /// it is not there.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Exists`] if any of the files is there; [`AuthorityError::File`].
    pub fn create(dir: &Path, now: UnixTime) -> Result<Self, AuthorityError> {
        for name in [KEY_FILE, PEM_FILE, DER_FILE] {
            let path = dir.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(AuthorityError::Exists { path });
            }
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| AuthorityError::File { path: dir.to_owned(), source })?;
        let (key, certificate) = root(now)?;
        write_new(&dir.join(KEY_FILE), 0o600, key.serialize_pem().as_bytes())?;
        write_new(&dir.join(PEM_FILE), 0o644, certificate.pem().as_bytes())?;
        // Last: a directory without it is not complete.
        write_new(&dir.join(DER_FILE), 0o644, certificate.der())?;
        Ok(Self { key_pkcs8: key.serialize_der(), certificate: certificate.der().to_vec() })
    }

    /// Reads one that [`CertificateAuthority::create`] made.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::File`], or [`AuthorityError::Content`] if key and certificate are not a pair.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let wrong = || AuthorityError::Content { path: dir.to_owned() };
        let pem = String::from_utf8(read(&dir.join(KEY_FILE))?).map_err(|_| wrong())?;
        let certificate = read(&dir.join(DER_FILE))?;
        let key =
            KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ECDSA_P384_SHA384).map_err(|_| wrong())?;
        let public = key.public_key_raw();
        if !certificate.windows(public.len()).any(|window| window == public) {
            return Err(wrong());
        }
        Ok(Self { key_pkcs8: key.serialize_der(), certificate })
    }

    /// The root certificate in DER.
    pub fn root_der(&self) -> &[u8] {
        &self.certificate
    }

    /// SHA-256 of the root certificate in DER, in hex: what an agreement writes behind `simulated:`.
    pub fn fingerprint(&self) -> String {
        hex::encode(digest(&SHA256, &self.certificate))
    }

    /// Makes a chain as AWS's: root, regional (20 days), zonal (143 hours), instance (24 hours) and a leaf of three
    /// hours for one enclave, named `<module_id>.<region>.aws`.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Certificate`].
    pub fn issue(&self, module_id: &str, region: &str, now: UnixTime) -> Result<Credentials, AuthorityError> {
        let root_key = KeyPair::from_pkcs8_der_and_sign_algo(
            &self.key_pkcs8.as_slice().into(),
            &PKCS_ECDSA_P384_SHA384,
        )?;
        let mut issuer = Issuer::new(root_params(now, now), root_key);
        let mut cabundle = vec![self.certificate.clone()];
        let begin = now.saturating_sub(BACKDATED);
        let instance = module_id.split("-enc").next().unwrap_or(module_id);
        let levels = [
            (format!("{}.{region}.aws.nitro-enclaves", tag()), REGIONAL_LIFE, FULL_USAGE),
            (format!("{}.zonal.{region}.aws.nitro-enclaves", tag()), ZONAL_LIFE, FULL_USAGE),
            (format!("{instance}.{region}.aws.nitro-enclaves"), INSTANCE_LIFE, &FULL_USAGE[1..2]),
        ];
        for (below, (name, life, usage)) in (0_u8..3).rev().zip(levels) {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
            let mut params = params(&name, begin, now.saturating_add(life));
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
            params.key_usages = usage.to_vec();
            params.use_authority_key_identifier_extension = true;
            cabundle.push(params.signed_by(&key, &issuer)?.der().to_vec());
            issuer = Issuer::new(params, key);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let not_after = begin.saturating_add(LEAF_LIFE);
        let mut params = params(&format!("{module_id}.{region}.aws"), begin, not_after);
        params.is_ca = IsCa::ExplicitNoCa;
        let (oid, usage) = LEAF_KEY_USAGE;
        params.custom_extensions = vec![CustomExtension::from_oid_content(oid, usage.to_vec())];
        let certificate = params.signed_by(&key, &issuer)?.der().to_vec();
        Credentials::new(certificate, cabundle, key.serialized_der(), not_after)
    }
}

/// A leaf's key and the certificates above it, with which documents are signed.
pub struct Credentials {
    certificate: Vec<u8>,
    cabundle: Vec<Vec<u8>>,
    key: EcdsaKeyPair,
    not_after: UnixTime,
}

impl Credentials {
    /// Takes a chain that was made elsewhere: leaf certificate in DER, the ones above it from the root down, and the
    /// leaf's P-384 key in PKCS #8. `not_after` says when to ask for another.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Key`].
    pub fn new(
        certificate: Vec<u8>,
        cabundle: Vec<Vec<u8>>,
        key_pkcs8: &[u8],
        not_after: UnixTime,
    ) -> Result<Self, AuthorityError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key_pkcs8)
            .map_err(|_| AuthorityError::Key)?;
        Ok(Self { certificate, cabundle, key, not_after })
    }

    /// The leaf certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificates above it in DER, from the root down.
    pub fn cabundle(&self) -> &[Vec<u8>] {
        &self.cabundle
    }

    pub(crate) fn key(&self) -> &EcdsaKeyPair {
        &self.key
    }
}

/// Whose key signs documents.
pub trait Identity: Send {
    /// The chain for a document of this module at this time.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; the module then answers `InternalError`.
    fn credentials(&mut self, module_id: &str, now: UnixTime) -> Result<&Credentials, AuthorityError>;
}

/// Chains under a [`CertificateAuthority`], replaced before they expire.
pub struct CaIdentity {
    authority: CertificateAuthority,
    region: String,
    current: Option<Credentials>,
}

impl CaIdentity {
    /// An identity in this region (part of the certificates' names).
    pub fn new(authority: &CertificateAuthority, region: &str) -> Self {
        Self { authority: authority.clone(), region: region.to_owned(), current: None }
    }
}

impl Identity for CaIdentity {
    fn credentials(&mut self, module_id: &str, now: UnixTime) -> Result<&Credentials, AuthorityError> {
        let current = self.current.take().filter(|c| now.saturating_add(RENEW_BEFORE) < c.not_after);
        let current = match current {
            Some(current) => current,
            None => self.authority.issue(module_id, &self.region, now)?,
        };
        Ok(self.current.insert(current))
    }
}

const FULL_USAGE: &[KeyUsagePurpose] =
    &[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];

fn root(now: UnixTime) -> Result<(KeyPair, Certificate), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let begin = now.saturating_sub(Duration::from_secs(DAY));
    let certificate = root_params(begin, now.saturating_add(ROOT_LIFE)).self_signed(&key)?;
    Ok((key, certificate))
}

/// The root's parameters. Its name is fixed, so that an issuer can be had again from the key alone.
fn root_params(not_before: UnixTime, not_after: UnixTime) -> CertificateParams {
    let mut params = params(ROOT_NAME, not_before, not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = FULL_USAGE.to_vec();
    params
}

fn params(name: &str, not_before: UnixTime, not_after: UnixTime) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(not_before.as_secs());
    params.not_after = epoch + Duration::from_secs(not_after.as_secs());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "US");
    params.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
    params.distinguished_name.push(DnType::OrganizationalUnitName, "local");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Sixteen hex digits, as in the names of AWS's intermediate certificates.
fn tag() -> String {
    let mut bytes = [0; 8];
    // A name only; without randomness no key could be made either.
    let _ = getrandom::fill(&mut bytes);
    hex::encode(bytes)
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), AuthorityError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, FILE_LIMIT), &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}
