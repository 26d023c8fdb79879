//! Sealed tables: Parquet Modular Encryption (PROTOCOL §2, *Parquet*).
//!
//! [`TableWriter`] seals, [`TableReader`] opens. `AES_GCM_V1` with 256-bit keys, encrypted footer, uniform encryption: every
//! column is encrypted under the one data key, so none can be forgotten in plaintext. The key material is inside the file,
//! in the form that PyArrow and Spark read.
//!
//! # Security
//!
//! A table that is not padded shows the host the length of every page, hence roughly the number of rows and how well columns
//! compress. A padded one ([`Padding::ToMaximum`]) is one row group with one uncompressed page a column; rows are filled up
//! to `max_rows`, and the filling rows carry text that brings a text column to the same length whatever it holds. Two things
//! still show: the number of nulls of a column that may be null, and the total length of text columns in a table that
//! is completely full (no filling row is left) or whose longest possible text would not fit into `max_bytes`.
//!
//! [`Padding::ToMaximum`]: entente_agreement::Padding::ToMaximum

mod layout;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::material::MaterialError;
pub use layout::LayoutError;
pub use reader::{OpenTableError, TableReader};
pub use schema::{NotATable, PAD_COLUMN, SchemaError, TableTerms, ValueError, arrow_schema};
pub use writer::{SealTableError, SealedTable, TableWriter};
