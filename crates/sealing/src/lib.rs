//! Sealed tables, blobs and results: Parquet Modular Encryption and age
