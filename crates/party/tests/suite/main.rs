//! An owner's operations, from the first key to the opened result.
#![expect(clippy::unwrap_used, reason = "tests")]

mod authorizing;
mod homes;
mod kms;
mod results;
mod reviewing;
mod sealing;
mod signing;
mod world;
