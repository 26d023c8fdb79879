//! Nitro attestation documents: parse, authenticate, appraise
