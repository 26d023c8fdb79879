//! Pinned keys of other parties, in OpenSSH's `allowed_signers` form.
