//! The auction from agreement to released files.
#![expect(clippy::unwrap_used, reason = "tests")]

mod example;
mod model;
mod promises;
mod support;
