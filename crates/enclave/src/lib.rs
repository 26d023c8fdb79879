//! Enclave runtime: one batch job per enclave life, with the lifecycle's states as types.
mod booted;
mod bound;
mod computed;
mod disclosed;
pub mod evidence;
mod host;
mod keyed;
mod life;
mod loaded;
pub mod machine;
mod refusal;

pub use booted::Booted;
pub use bound::Bound;
pub(crate) use bound::Job;
pub use computed::Computed;
pub use disclosed::Disclosed;
pub use host::{Host, NoAnswer};
pub use keyed::{Keyed, decoded_limit};
pub use life::{Halted, live, run};
pub use loaded::Loaded;
pub use refusal::{ListFault, Refusal, Register};
