//! The cryptographic operations of this crate, all of them public-key or hash operations on public data.

use aws_lc_rs::digest;

pub(crate) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut context = digest::Context::new(&digest::SHA384);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 48];
    out.copy_from_slice(context.finish().as_ref());
    out
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}
