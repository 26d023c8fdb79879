//! A reader of DER (X.690): definite lengths in their shortest form, low tag numbers, no recursion.

/// Not DER, or not the element that its place demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDer;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0] EXPLICIT`
pub(crate) const CONTEXT_0: u8 = 0xa0;
/// `[3] EXPLICIT`
pub(crate) const CONTEXT_3: u8 = 0xa3;

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// An element: its content, and itself whole.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn next_is(&self, tag: u8) -> bool {
        self.rest.first() == Some(&tag)
    }

    /// Fails if anything is left.
    pub(crate) fn end(self) -> Result<(), NotDer> {
        if self.rest.is_empty() { Ok(()) } else { Err(NotDer) }
    }

    /// The next element, of any tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, NotDer> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(NotDer)?;
        // High tag numbers (X.690, section 8.1.2.4) do not occur in certificates.
        if tag & 0x1f == 0x1f {
            return Err(NotDer);
        }
        let (&first, after_first) = after_tag.split_first().ok_or(NotDer)?;
        let (length, header) = match first {
            0..=0x7f => (usize::from(first), 2),
            0x81 => {
                let &length = after_first.first().ok_or(NotDer)?;
                if length < 0x80 {
                    return Err(NotDer);
                }
                (usize::from(length), 3)
            }
            0x82 => {
                let &[high, low] = after_first.first_chunk().ok_or(NotDer)?;
                if high == 0 {
                    return Err(NotDer);
                }
                (usize::from(u16::from_be_bytes([high, low])), 4)
            }
            // Nothing that is read here exceeds 1,024 bytes; 0x80 would be an indefinite length.
            _ => return Err(NotDer),
        };
        let whole = self.rest.get(..header + length).ok_or(NotDer)?;
        self.rest = &self.rest[header + length..];
        Ok(Element { tag, content: &whole[header..], whole })
    }

    /// The next element, which must have this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(NotDer) }
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn content(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        self.element(tag).map(|element| element.content)
    }

    /// A reader of the content of the next element, which must have this tag.
    pub(crate) fn nested(&mut self, tag: u8) -> Result<Self, NotDer> {
        self.content(tag).map(Self::new)
    }

    /// The bytes of a BIT STRING without unused bits.
    pub(crate) fn whole_bits(&mut self) -> Result<&'a [u8], NotDer> {
        match self.content(BIT_STRING)?.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(NotDer),
        }
    }
}
