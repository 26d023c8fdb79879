//! The wire encoding of SSH (RFC 4251 section 5), as far as keys and signatures need it.

/// The bytes ended before the field did, or its length says more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

/// Reads fields off the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Truncated> {
        let (first, rest) = self.0.split_first().ok_or(Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Truncated> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Truncated)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    /// `string`: a length and so many bytes.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], Truncated> {
        let length = usize::try_from(self.u32()?).map_err(|_| Truncated)?;
        self.take(length)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The magnitude of a positive `mpint` in its one shortest form, without the sign byte; `None` for zero, negative or padded.
pub(crate) fn positive_mpint(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [] => None,
        [first, ..] if *first & 0x80 != 0 => None,
        [0, second, ..] if *second & 0x80 != 0 => Some(&bytes[1..]),
        [0, ..] => None,
        _ => Some(bytes),
    }
}

/// Appends a `string`.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing that is encoded here comes near 4 GiB: the inputs are keys, signatures and short words.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends an unsigned big-endian number as an `mpint`.
pub(crate) fn put_mpint(out: &mut Vec<u8>, magnitude: &[u8]) {
    let start = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    let digits = magnitude.get(start..).unwrap_or_default();
    if digits.first().is_some_and(|byte| byte & 0x80 != 0) {
        let mut padded = vec![0];
        padded.extend_from_slice(digits);
        put_string(out, &padded);
    } else {
        put_string(out, digits);
    }
}
