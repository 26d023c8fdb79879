//! In-toto statement and DSSE receipt of a run, and their offline verification
