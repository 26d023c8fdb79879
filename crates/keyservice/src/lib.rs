//! A key service that speaks the AWS KMS protocol and releases keys by attestation
