//! Enclave images (EIF): read, build, measure
