//! A reader for the few BER forms (X.690) that a `CiphertextForRecipient` is made of.
//!
//! There is no recursion and no tree: the caller descends with [`Reader::enter`] and comes back with [`Reader::leave`], and the
//! depth is bounded by an array. A length, whatever it claims, only ever selects a part of the bytes that are there.

/// X.690 8.1.2: class, constructed bit and number, for numbers below 31. Longer tags do not occur and do not parse.
pub(super) type Tag = u8;

pub(super) const INTEGER: Tag = 0x02;
pub(super) const OCTET_STRING: Tag = 0x04;
pub(super) const NULL: Tag = 0x05;
pub(super) const OBJECT_IDENTIFIER: Tag = 0x06;
pub(super) const SEQUENCE: Tag = 0x30;
pub(super) const SET: Tag = 0x31;
/// `[0]`, primitive.
pub(super) const CONTEXT_0: Tag = 0x80;
/// `[0]`, constructed.
pub(super) const CONTEXT_0_CONSTRUCTED: Tag = 0xa0;
/// `[1]`, constructed.
pub(super) const CONTEXT_1_CONSTRUCTED: Tag = 0xa1;

/// ContentInfo, \[0\], EnvelopedData, SET, KeyTransRecipientInfo, rsaesOaep, parameters, \[1\], mgf1, sha256: ten.
const MAX_DEPTH: usize = 10;

/// The bytes are not the expected structure. Which part is wrong is nobody's business (PROTOCOL §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the innermost open value ends.
#[derive(Clone, Copy)]
enum End {
    /// Definite length: at this offset.
    At(usize),
    /// Indefinite length: at an end-of-contents marker (X.690 8.1.5) before this offset.
    Marked(usize),
}

impl End {
    const fn limit(self) -> usize {
        match self {
            Self::At(offset) | Self::Marked(offset) => offset,
        }
    }
}

enum Length {
    Definite(usize),
    Indefinite,
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    open: [End; MAX_DEPTH],
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, open: [End::At(0); MAX_DEPTH], depth: 0 }
    }

    fn limit(&self) -> usize {
        match self.depth.checked_sub(1).and_then(|top| self.open.get(top)) {
            Some(end) => end.limit(),
            None => self.bytes.len(),
        }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let offset = self.offset;
        if offset >= self.limit() {
            return Err(Malformed);
        }
        let byte = *self.bytes.get(offset).ok_or(Malformed)?;
        self.offset = offset.checked_add(1).ok_or(Malformed)?;
        Ok(byte)
    }

    /// X.690 8.1.3. Long forms of up to two bytes: an answer is at most 6144 bytes long.
    fn length(&mut self) -> Result<Length, Malformed> {
        match self.byte()? {
            short @ 0..=0x7f => Ok(Length::Definite(usize::from(short))),
            0x80 => Ok(Length::Indefinite),
            0x81 => Ok(Length::Definite(usize::from(self.byte()?))),
            0x82 => {
                let high = self.byte()?;
                let low = self.byte()?;
                Ok(Length::Definite(usize::from(u16::from_be_bytes([high, low]))))
            }
            _ => Err(Malformed),
        }
    }

    fn end_of(&self, length: usize) -> Result<usize, Malformed> {
        let end = self.offset.checked_add(length).ok_or(Malformed)?;
        if end > self.limit() { Err(Malformed) } else { Ok(end) }
    }

    /// The next tag of the innermost open value, or none at its end.
    pub(super) fn peek(&self) -> Option<Tag> {
        let depth_end = self.depth.checked_sub(1).and_then(|top| self.open.get(top)).copied();
        let rest = self.bytes.get(self.offset..self.limit())?;
        match depth_end {
            Some(End::Marked(_)) if rest.starts_with(&[0, 0]) => None,
            _ => rest.first().copied(),
        }
    }

    /// The content of a primitive value with this tag.
    pub(super) fn primitive(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        if self.peek() != Some(tag) {
            return Err(Malformed);
        }
        self.byte()?;
        let Length::Definite(length) = self.length()? else { return Err(Malformed) };
        let end = self.end_of(length)?;
        let content = self.bytes.get(self.offset..end).ok_or(Malformed)?;
        self.offset = end;
        Ok(content)
    }

    /// A primitive value with this tag and exactly this content.
    pub(super) fn exactly(&mut self, tag: Tag, content: &[u8]) -> Result<(), Malformed> {
        if self.primitive(tag)? == content { Ok(()) } else { Err(Malformed) }
    }

    /// Opens a constructed value with this tag, of definite or indefinite length.
    pub(super) fn enter(&mut self, tag: Tag) -> Result<(), Malformed> {
        if self.peek() != Some(tag) {
            return Err(Malformed);
        }
        self.byte()?;
        let end = match self.length()? {
            Length::Definite(length) => End::At(self.end_of(length)?),
            Length::Indefinite => End::Marked(self.limit()),
        };
        *self.open.get_mut(self.depth).ok_or(Malformed)? = end;
        self.depth = self.depth.checked_add(1).ok_or(Malformed)?;
        Ok(())
    }

    /// Closes the innermost open value, which must have been read to its end.
    pub(super) fn leave(&mut self) -> Result<(), Malformed> {
        let top = self.depth.checked_sub(1).ok_or(Malformed)?;
        match *self.open.get(top).ok_or(Malformed)? {
            End::At(end) if self.offset == end => {}
            End::At(_) => return Err(Malformed),
            End::Marked(_) => {
                if self.byte()? != 0 || self.byte()? != 0 {
                    return Err(Malformed);
                }
            }
        }
        self.depth = top;
        Ok(())
    }

    /// Nothing is open and nothing is left over.
    pub(super) const fn finish(&self) -> Result<(), Malformed> {
        if self.depth == 0 && self.offset == self.bytes.len() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes one value with a definite length in the shortest form (DER). Content is at most 65,535 bytes long here.
pub(super) fn write_definite(out: &mut Vec<u8>, tag: Tag, content: &[u8]) {
    out.push(tag);
    match content.len() {
        length @ 0..=0x7f => out.push(u8::try_from(length).unwrap_or(0)),
        length @ 0x80..=0xff => out.extend([0x81, u8::try_from(length).unwrap_or(0)]),
        length => {
            let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            out.extend([0x82, high, low]);
        }
    }
    out.extend_from_slice(content);
}

/// Opens a constructed value of indefinite length.
pub(super) fn open_indefinite(out: &mut Vec<u8>, tag: Tag) {
    out.extend([tag, 0x80]);
}

/// Closes the innermost constructed value of indefinite length.
pub(super) fn close_indefinite(out: &mut Vec<u8>) {
    out.extend([0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definite_and_indefinite_lengths_nest() {
        let bytes = [0x30, 0x80, 0x30, 0x03, 0x02, 0x01, 0x07, 0xa0, 0x80, 0x05, 0x00, 0, 0, 0, 0];
        let mut reader = Reader::new(&bytes);
        reader.enter(SEQUENCE).unwrap();
        reader.enter(SEQUENCE).unwrap();
        assert_eq!(reader.primitive(INTEGER), Ok(&[7][..]));
        assert_eq!(reader.peek(), None);
        reader.leave().unwrap();
        reader.enter(CONTEXT_0_CONSTRUCTED).unwrap();
        reader.exactly(NULL, &[]).unwrap();
        assert_eq!(reader.peek(), None);
        reader.leave().unwrap();
        reader.leave().unwrap();
        reader.finish().unwrap();
    }

    #[test]
    fn a_definite_value_ends_where_it_says_and_not_earlier_or_later() {
        // The inner SEQUENCE claims one byte more than the outer one holds.
        let mut reader = Reader::new(&[0x30, 0x03, 0x30, 0x02, 0x05, 0x00]);
        reader.enter(SEQUENCE).unwrap();
        assert_eq!(reader.enter(SEQUENCE), Err(Malformed));

        // Left with a byte unread.
        let mut reader = Reader::new(&[0x30, 0x02, 0x05, 0x00]);
        reader.enter(SEQUENCE).unwrap();
        assert_eq!(reader.leave(), Err(Malformed));
    }

    #[test]
    fn an_indefinite_value_inside_a_definite_one_cannot_reach_beyond_it() {
        let mut reader = Reader::new(&[0x30, 0x04, 0xa0, 0x80, 0x05, 0x00, 0, 0]);
        reader.enter(SEQUENCE).unwrap();
        reader.enter(CONTEXT_0_CONSTRUCTED).unwrap();
        reader.exactly(NULL, &[]).unwrap();
        assert_eq!(reader.leave(), Err(Malformed));
    }

    #[test]
    fn depth_is_bounded() {
        let bytes = [0x30, 0x80].repeat(100);
        let mut reader = Reader::new(&bytes);
        for _ in 0..MAX_DEPTH {
            reader.enter(SEQUENCE).unwrap();
        }
        assert_eq!(reader.enter(SEQUENCE), Err(Malformed));
    }

    #[test]
    fn huge_lengths_and_empty_input_are_refused() {
        for bytes in [
            &[][..],
            &[0x04],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x04, 0x82, 0xff],
            &[0x04, 0x82, 0xff, 0xff],
        ] {
            assert_eq!(Reader::new(bytes).primitive(OCTET_STRING), Err(Malformed), "{bytes:02x?}");
        }
    }
}
