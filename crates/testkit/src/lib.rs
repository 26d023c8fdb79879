//! Forged evidence for tests: certificate chains and attestation documents with one thing wrong
