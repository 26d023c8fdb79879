//! What the platform owner sets: where data lie, who may connect, every limit and every timeout.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// Largest configuration file that is read, in bytes.
const CONFIG_BYTES: u64 = 256 * 1024;

/// Configuration of a host. Made by [`Config::new`] with the documented defaults, or read from TOML by
/// [`Config::from_file`]; unknown keys are errors.
///
/// ```
/// use entente_host::Config;
/// let config = Config::new("/var/lib/entente").listen_behind_tls_proxy();
/// assert_eq!(config.limits().concurrent_runs, 2);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    data: PathBuf,
    exposure: Exposure,
    limits: Limits,
    timeouts: Timeouts,
    local: LocalPlatform,
    key_services: Vec<KeyServiceConfig>,
}

/// Which addresses the host may listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Loopback only: the default.
    Loopback,
    /// Any address. This version speaks no TLS: the bearer token and all ciphertext cross in the clear unless a TLS
    /// proxy stands in front, so this must be asked for by name.
    BehindTlsProxy,
}

/// Bounds on everything that is stored, accepted or started. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Agreements, manifests, input sets and requests: how many of each kind are kept. Default 100,000.
    pub objects: u64,
    /// Images that are kept. Default 256.
    pub images: u64,
    /// Size of one image, bytes. It is measured in memory, one at a time. Default 512 MiB.
    pub image_bytes: u64,
    /// Size of one sealed file, bytes. Its list of chunk digests has 48 bytes per MiB. Default 64 GiB.
    pub sealed_bytes: u64,
    /// All sealed files, images and results together, bytes; sealed files count in full from the moment their
    /// chunk list is accepted. Default 1 TiB.
    pub stored_bytes: u64,
    /// All result files of one run and its receipt, bytes. Default 16 GiB.
    pub result_bytes: u64,
    /// Run records that are kept. Default 100,000.
    pub runs: u64,
    /// Runs that wait for their turn. Default 256.
    pub queued_runs: u64,
    /// Enclaves that live at the same time. Default 2.
    pub concurrent_runs: u64,
    /// Memory of one enclave, MiB: an analysis that wants more is not started. Default 16,384.
    pub enclave_memory_mib: u32,
    /// HTTP connections at the same time; further ones wait in the kernel's queue. Default 256.
    pub connections: u32,
    /// HTTP requests that are worked on at the same time; further ones are refused with `busy`. Default 64.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 100_000,
            images: 256,
            image_bytes: 512 << 20,
            sealed_bytes: 64 << 30,
            stored_bytes: 1 << 40,
            result_bytes: 16 << 30,
            runs: 100_000,
            queued_runs: 256,
            concurrent_runs: 2,
            enclave_memory_mib: 16_384,
            connections: 256,
            requests: 64,
        }
    }
}

/// Bounds on every wait. Plain data; in TOML each is a number of seconds under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// A request's line and headers. Default 10 s.
    #[serde(deserialize_with = "seconds")]
    pub header: Duration,
    /// A whole request, its body and its answer. Default 60 s.
    #[serde(deserialize_with = "seconds")]
    pub request: Duration,
    /// Upload or download of an image or a result file. Default 1,800 s.
    #[serde(deserialize_with = "seconds")]
    pub transfer: Duration,
    /// From the start of an enclave to its first question. Default 120 s.
    #[serde(deserialize_with = "seconds")]
    pub boot: Duration,
    /// Between two questions of an enclave, except while it computes. Default 300 s.
    #[serde(deserialize_with = "seconds")]
    pub ask: Duration,
    /// A whole attempt, from the start of the enclave to its receipt. Default 21,600 s (6 h).
    #[serde(deserialize_with = "seconds")]
    pub run: Duration,
    /// One request to a key service, all its repetitions included. Default 30 s.
    #[serde(deserialize_with = "seconds")]
    pub key: Duration,
    /// From the last message of an enclave to its own end, after which it is killed; also for open requests when the
    /// host ends. Default 5 s.
    #[serde(deserialize_with = "seconds")]
    pub end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            request: Duration::from_secs(60),
            transfer: Duration::from_secs(1_800),
            boot: Duration::from_secs(120),
            ask: Duration::from_secs(300),
            run: Duration::from_secs(21_600),
            key: Duration::from_secs(30),
            end: Duration::from_secs(5),
        }
    }
}

/// Where the `local` platform finds its parts. Plain data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalPlatform {
    /// The program `entente-hypervisor-sim`; by default the one beside the running program.
    pub program: Option<PathBuf>,
    /// Directory of the simulated root (`entente-hypervisor-sim ca --dir`); by default `ca` in the data directory.
    pub ca: Option<PathBuf>,
    /// Role of the parent instance that the simulated hypervisor measures into PCR3.
    pub parent_role: Option<String>,
    /// Instance id that it measures into PCR4.
    pub instance_id: Option<String>,
}

/// A key service other than AWS's own, for the keys of one account. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyServiceConfig {
    /// The 12 digits in the ARN of every key that this service holds.
    pub account: String,
    /// `http://…` or `https://…`, without a path.
    pub endpoint: String,
    /// Access key id of the host's principal there.
    pub access_key_id: String,
    /// File that holds the secret access key and nothing else but white space around it. It must be readable by its
    /// owner only.
    pub secret_access_key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    timeouts: Timeouts,
    #[serde(default)]
    local: LocalPlatform,
    #[serde(default)]
    key_service: Vec<KeyServiceConfig>,
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match u64::deserialize(deserializer)? {
        // A zero would make every wait fail; a hundred years overflow no clock.
        seconds @ 1..=3_153_600_000 => Ok(Duration::from_secs(seconds)),
        _ => Err(serde::de::Error::custom("a timeout has at least 1 second and at most 100 years")),
    }
}

impl Config {
    /// The defaults, with everything that is kept under `data`.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            exposure: Exposure::Loopback,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            local: LocalPlatform::default(),
            key_services: Vec::new(),
        }
    }

    /// Reads `[limits]`, `[timeouts]`, `[local]` and `[[key_service]]` from a TOML file of at most 256 KiB. Relative
    /// paths in it are relative to the file. The exposure is never in it: it is said where the host is started.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read, or is not what this type means.
    pub fn from_file(data: impl Into<PathBuf>, file: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Read { path: file.to_owned(), error };
        if std::fs::metadata(file).map_err(unreadable)?.len() > CONFIG_BYTES {
            return Err(ConfigError::TooLarge { path: file.to_owned(), limit: CONFIG_BYTES });
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let mut config = Self::from_toml(data, &text)?;
        let base = file.parent().unwrap_or(Path::new("."));
        for path in [&mut config.local.program, &mut config.local.ca].into_iter().flatten() {
            *path = base.join(&path);
        }
        for service in &mut config.key_services {
            service.secret_access_key_file = base.join(&service.secret_access_key_file);
        }
        Ok(config)
    }

    /// As [`Config::from_file`], from text; relative paths stay as they are.
    ///
    /// # Errors
    /// [`ConfigError`] if the text is not what this type means.
    pub fn from_toml(data: impl Into<PathBuf>, text: &str) -> Result<Self, ConfigError> {
        let file: ConfigFile =
            toml::from_str(text).map_err(|error| ConfigError::Parse { problem: error.to_string() })?;
        let config = Self {
            data: data.into(),
            exposure: Exposure::Loopback,
            limits: file.limits,
            timeouts: file.timeouts,
            local: file.local,
            key_services: file.key_service,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let limit_of = |name, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Limit { name, value, least, most })
            }
        };
        // Upper bounds keep every product of two limits, and what is held in memory, far from overflow.
        limit_of("objects", limits.objects, 1, 10_000_000)?;
        limit_of("images", limits.images, 1, 100_000)?;
        limit_of("image_bytes", limits.image_bytes, 1, 16 << 30)?;
        // The list of chunk digests goes to the enclave in one message of at most 16 MiB.
        limit_of("sealed_bytes", limits.sealed_bytes, 1, 256 << 30)?;
        limit_of("stored_bytes", limits.stored_bytes, 1, 1 << 50)?;
        limit_of("result_bytes", limits.result_bytes, 1, 1 << 40)?;
        limit_of("runs", limits.runs, 1, 10_000_000)?;
        limit_of("queued_runs", limits.queued_runs, 1, 100_000)?;
        limit_of("concurrent_runs", limits.concurrent_runs, 1, 1_000)?;
        limit_of("enclave_memory_mib", limits.enclave_memory_mib.into(), 1, 1 << 24)?;
        limit_of("connections", limits.connections.into(), 1, 65_536)?;
        limit_of("requests", limits.requests.into(), 1, 65_536)?;
        for (index, service) in self.key_services.iter().enumerate() {
            let account = &service.account;
            if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(ConfigError::Account { account: account.clone() });
            }
            if self.key_services[..index].iter().any(|other| other.account == *account) {
                return Err(ConfigError::AccountTwice { account: account.clone() });
            }
            let rest = service
                .endpoint
                .strip_prefix("http://")
                .or_else(|| service.endpoint.strip_prefix("https://"))
                .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
            if !rest.is_some_and(|rest| {
                !rest.is_empty()
                    && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte))
            }) {
                return Err(ConfigError::Endpoint { endpoint: service.endpoint.clone() });
            }
        }
        Ok(())
    }

    /// Allows [`Exposure::BehindTlsProxy`].
    #[must_use]
    pub fn listen_behind_tls_proxy(mut self) -> Self {
        self.exposure = Exposure::BehindTlsProxy;
        self
    }

    /// Other limits.
    ///
    /// # Errors
    /// [`ConfigError::Limit`] if one is out of its range.
    pub fn with_limits(mut self, limits: Limits) -> Result<Self, ConfigError> {
        self.limits = limits;
        self.check()?;
        Ok(self)
    }

    /// Other timeouts.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Another place for the parts of the `local` platform.
    #[must_use]
    pub fn with_local_platform(mut self, local: LocalPlatform) -> Self {
        self.local = local;
        self
    }

    /// One more key service.
    ///
    /// # Errors
    /// [`ConfigError`] if the account is no account or there already, or the endpoint is no plain URL.
    pub fn with_key_service(mut self, service: KeyServiceConfig) -> Result<Self, ConfigError> {
        self.key_services.push(service);
        self.check()?;
        Ok(self)
    }

    /// Where everything is kept.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Which addresses the host may listen on.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.exposure
    }

    /// Bounds on everything stored, accepted or started.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bounds on every wait.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Parts of the `local` platform.
    #[must_use]
    pub fn local(&self) -> &LocalPlatform {
        &self.local
    }

    /// Key services other than AWS's own.
    #[must_use]
    pub fn key_services(&self) -> &[KeyServiceConfig] {
        &self.key_services
    }
}

/// Why a configuration is not accepted. The platform owner's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is longer than a configuration is.
    #[error("{path} is longer than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// Not TOML, or an unknown key, or a value of another type.
    #[error("{problem}")]
    Parse {
        /// What the TOML reader says, with line and column.
        problem: String,
    },
    /// A limit is out of its range.
    #[error("limit {name} = {value} is not between {least} and {most}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The least that is accepted.
        least: u64,
        /// The most that is accepted.
        most: u64,
    },
    /// An account of a key service has 12 digits.
    #[error("key service account {account:?} is not 12 digits")]
    Account {
        /// What was given.
        account: String,
    },
    /// Two key services for one account.
    #[error("account {account} has two key services")]
    AccountTwice {
        /// The account.
        account: String,
    },
    /// An endpoint is scheme, host and port, nothing else.
    #[error("key service endpoint {endpoint:?} is not http://HOST[:PORT] or https://HOST[:PORT]")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_nothing_else() {
        let config = Config::from_toml(
            "d",
            "[limits]\nconcurrent_runs = 7\n[timeouts]\nask = 9\n[[key_service]]\naccount = \"111122223333\"\n\
             endpoint = \"http://127.0.0.1:9001\"\naccess_key_id = \"AKIA\"\nsecret_access_key_file = \"s\"\n",
        )
        .unwrap();
        assert_eq!(config.limits(), &Limits { concurrent_runs: 7, ..Limits::default() });
        assert_eq!(config.timeouts().ask, Duration::from_secs(9));
        assert_eq!(config.timeouts().run, Timeouts::default().run);
        assert_eq!(config.key_services().len(), 1);
        assert_eq!(config.exposure(), Exposure::Loopback);
    }

    #[test]
    fn every_mistake_is_an_error() {
        for (text, part) in [
            ("[limit]\n", "unknown field"),
            ("[limits]\nruns = 0\n", "limit runs = 0"),
            ("[limits]\nruns = -1\n", "runs"),
            ("[timeouts]\nask = 0\n", "at least 1 second"),
            ("[timeouts]\nask = 1.5\n", "ask"),
        ] {
            let error = Config::from_toml("d", text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let service = |account: &str, endpoint: &str| KeyServiceConfig {
            account: account.into(),
            endpoint: endpoint.into(),
            access_key_id: "a".into(),
            secret_access_key_file: "s".into(),
        };
        let add = |account, endpoint| Config::new("d").with_key_service(service(account, endpoint));
        assert!(matches!(add("1111", "http://a"), Err(ConfigError::Account { .. })));
        for endpoint in
            ["", "a:1", "ftp://a", "http://", "http://a/b", "http://a@b", "http://a?b", "http:// a"]
        {
            assert!(matches!(add("111122223333", endpoint), Err(ConfigError::Endpoint { .. })), "{endpoint}");
        }
        assert!(matches!(
            add("111122223333", "http://a/").unwrap().with_key_service(service("111122223333", "http://b")),
            Err(ConfigError::AccountTwice { .. })
        ));
    }
}
