//! The metadata section (AWS image-format, `EifIdentityInfo`).

use std::collections::BTreeMap;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The build time that stands in an image unless another is given: AWS's tools need some time there, and a real
/// one would make every build differ.
pub const EPOCH: &str = "1970-01-01T00:00:00+00:00";

const UNKNOWN: &str = "Unknown";

/// Why a metadata section is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata is not the JSON of an enclave image (line {line}, column {column})")]
pub struct MetadataError {
    line: usize,
    column: usize,
}

impl MetadataError {
    /// Line of the fault, from 1 (0 where there is none).
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column of the fault.
    pub fn column(&self) -> usize {
        self.column
    }
}

/// What an image says of itself. Not measured: anybody can change it without a change of PCRs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(rename = "ImageName")]
    image_name: String,
    #[serde(rename = "ImageVersion")]
    image_version: String,
    #[serde(rename = "BuildMetadata")]
    build: Build,
    #[serde(rename = "DockerInfo", serialize_with = "sorted")]
    docker: Value,
    #[serde(rename = "CustomMetadata", serialize_with = "sorted")]
    custom: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Build {
    #[serde(rename = "BuildTime")]
    time: String,
    #[serde(rename = "BuildTool")]
    tool: String,
    #[serde(rename = "BuildToolVersion")]
    tool_version: String,
    #[serde(rename = "OperatingSystem")]
    operating_system: String,
    #[serde(rename = "KernelVersion")]
    kernel_version: String,
}

impl Metadata {
    /// Metadata with a name and a version; this crate as tool, [`EPOCH`] as time, the rest unknown or absent.
    pub fn new(image_name: &str, image_version: &str) -> Self {
        Self {
            image_name: image_name.to_owned(),
            image_version: image_version.to_owned(),
            build: Build {
                time: EPOCH.to_owned(),
                tool: env!("CARGO_PKG_NAME").to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                operating_system: UNKNOWN.to_owned(),
                kernel_version: UNKNOWN.to_owned(),
            },
            docker: Value::Null,
            custom: Value::Null,
        }
    }

    /// Sets the build time (RFC 3339 text). Two builds of the same parts are equal only if their times are.
    #[must_use]
    pub fn with_build_time(mut self, time: &str) -> Self {
        time.clone_into(&mut self.build.time);
        self
    }

    /// Sets the tool's name and version.
    #[must_use]
    pub fn with_tool(mut self, name: &str, version: &str) -> Self {
        name.clone_into(&mut self.build.tool);
        version.clone_into(&mut self.build.tool_version);
        self
    }

    /// Sets the operating system's name and the kernel's version.
    #[must_use]
    pub fn with_system(mut self, operating_system: &str, kernel_version: &str) -> Self {
        operating_system.clone_into(&mut self.build.operating_system);
        kernel_version.clone_into(&mut self.build.kernel_version);
        self
    }

    /// Sets `CustomMetadata`, for example a bill of materials. Written with its keys in order.
    #[must_use]
    pub fn with_custom(mut self, custom: Value) -> Self {
        self.custom = custom;
        self
    }

    /// The image's name.
    pub fn image_name(&self) -> &str {
        &self.image_name
    }

    /// The image's version.
    pub fn image_version(&self) -> &str {
        &self.image_version
    }

    /// The build time, as text.
    pub fn build_time(&self) -> &str {
        &self.build.time
    }

    /// The `CustomMetadata` member.
    pub fn custom(&self) -> &Value {
        &self.custom
    }

    /// Reads the section. Unknown members are ignored, since nothing may depend on metadata.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] with the place, if it is not JSON or a member is missing. Nesting is limited to 128.
    pub fn parse(section: &[u8]) -> Result<Self, MetadataError> {
        serde_json::from_slice(section).map_err(|e| MetadataError { line: e.line(), column: e.column() })
    }

    /// The section's bytes: members in AWS's order, custom objects with their keys sorted, no white space.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Text keys and JSON values cannot fail to be written into memory.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Writes JSON with sorted keys, whatever map type `serde_json` was built with.
fn sorted<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    Sorted(value).serialize(serializer)
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let members: BTreeMap<&String, &Value> = members.iter().collect();
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, &Sorted(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Sorted(item))?;
                }
                seq.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_aws_writes_it() {
        let metadata = Metadata::new("v", "v").with_tool("eif_build", "0.2.1");
        assert_eq!(
            String::from_utf8(metadata.to_bytes()).unwrap(),
            concat!(
                r#"{"ImageName":"v","ImageVersion":"v","BuildMetadata":{"BuildTime":"1970-01-01T00:00:00+00:00","#,
                r#""BuildTool":"eif_build","BuildToolVersion":"0.2.1","OperatingSystem":"Unknown","#,
                r#""KernelVersion":"Unknown"},"DockerInfo":null,"CustomMetadata":null}"#
            )
        );
        assert_eq!(Metadata::parse(&metadata.to_bytes()), Ok(metadata));
    }

    #[test]
    fn custom_members_are_sorted() {
        let custom = serde_json::json!({"b": [{"z": 1, "a": 2}], "a": null});
        let text = String::from_utf8(Metadata::new("v", "v").with_custom(custom).to_bytes()).unwrap();
        assert!(text.ends_with(r#""CustomMetadata":{"a":null,"b":[{"a":2,"z":1}]}}"#), "{text}");
    }

    #[test]
    fn a_missing_member_is_named_by_place() {
        let error = Metadata::parse(b"{}").unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 2));
        assert!(Metadata::parse(&[b'['; 4096]).is_err());
    }
}
