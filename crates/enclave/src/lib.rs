//! Enclave runtime: one batch job per life, lifecycle as types
