//! A value that only the disclosure rules can open.
//!
//! An analysis computes over everybody's data and returns a [`Confidential`] outcome. Nobody can look into it, print, compare,
//! copy or encode it; only the crate `entente-disclosure` takes the value out, with [`open`], and lets go what the agreement says.
//!
//! **Threat model.** The adversary is our own mistake: code in the enclave's runtime, in an analysis, or in whatever is written
//! next, that encodes an outcome without asking the rules. The defence is the dependency graph: `entente-analysis` re-exports the
//! *type*, whose methods let nobody out, but not the *function* [`open`], so that a crate that does not depend on this one cannot
//! name it. A test of this crate reads every manifest of the workspace and fails when anything but `entente-analysis` and
//! `entente-disclosure` depends on it.
//!
//! ```
//! use entente_confidential::{Confidential, open};
//!
//! let answer = Confidential::new(42);
//! assert_eq!(open(answer), 42); // possible here only because this example is part of this crate
//! ```
#![no_std]

/// A value that has been computed from confidential data.
///
/// There is no way to read it but [`open`]. It implements no trait that would show it: it is neither `Debug`, `Display`, `Clone`,
/// `PartialEq`, `Hash` nor `Deref`, and has no `map`, because a closure could carry the value out.
///
/// # Security
/// It is a border in the type system, not in memory: it keeps honest code from sending what it must not, and does nothing against
/// code in the same process that means to.
///
/// ```compile_fail
/// # use entente_confidential::Confidential;
/// println!("{:?}", Confidential::new(42)); // not Debug
/// ```
/// ```compile_fail
/// # use entente_confidential::Confidential;
/// let Confidential(inner) = Confidential::new(42); // the field is private
/// ```
/// ```compile_fail
/// # use entente_confidential::Confidential;
/// let equal = Confidential::new(42) == Confidential::new(42); // not PartialEq
/// ```
/// ```compile_fail
/// # use entente_confidential::Confidential;
/// let copy = Confidential::new(42).clone(); // not Clone
/// ```
#[must_use = "an outcome that is not disclosed is lost: every recipient gets a file in every run"]
pub struct Confidential<T>(T);

impl<T> Confidential<T> {
    /// Declares `value` confidential. Anybody may: the way in is open, the way out is not.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

/// Takes the value out.
///
/// # Security
/// This is the one exit, and `entente-disclosure` its one caller. The place to look for a leak is
/// `grep -r 'confidential::open'`.
pub fn open<T>(confidential: Confidential<T>) -> T {
    confidential.0
}
