//! A writer of CBOR (RFC 8949) that can also write what a strict reader must refuse.

/// A CBOR item.
#[derive(Debug, Clone, PartialEq)]
pub enum Cbor {
    /// Major type 0.
    Uint(u64),
    /// Major type 1: the value −1 − n.
    Negative(u64),
    /// Major type 2.
    Bytes(Vec<u8>),
    /// Major type 3.
    Text(String),
    /// Major type 4, definite length.
    Array(Vec<Cbor>),
    /// Major type 5, definite length; pairs in the order given, duplicates kept.
    Map(Vec<(Cbor, Cbor)>),
    /// Major type 6.
    Tag(u64, Box<Cbor>),
    /// Major type 7: false, true.
    Simple(u8),
    /// A 64-bit float.
    Float(f64),
    /// Array of indefinite length.
    OpenArray(Vec<Cbor>),
    /// Map of indefinite length.
    OpenMap(Vec<(Cbor, Cbor)>),
    /// Byte string in pieces.
    OpenBytes(Vec<Vec<u8>>),
    /// Text string in pieces.
    OpenText(Vec<String>),
    /// The item within, its head written with an argument that many bytes wide (1, 2, 4 or 8), minimal or not.
    Wide(u8, Box<Cbor>),
    /// These bytes as they are.
    Raw(Vec<u8>),
}

impl Cbor {
    /// `null`.
    pub const NULL: Self = Self::Simple(22);
    /// `undefined`.
    pub const UNDEFINED: Self = Self::Simple(23);

    /// A text string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A byte string.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }

    /// A byte string, or `null`.
    #[must_use]
    pub fn bytes_or_null(bytes: Option<&[u8]>) -> Self {
        bytes.map_or(Self::NULL, Self::bytes)
    }

    /// The item with its head written that many bytes wide.
    #[must_use]
    pub fn wide(self, width: u8) -> Self {
        Self::Wide(width, Box::new(self))
    }

    /// The item, encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, None);
        out
    }

    fn write(&self, out: &mut Vec<u8>, width: Option<u8>) {
        match self {
            Self::Uint(value) => head(out, 0, *value, width),
            Self::Negative(value) => head(out, 1, *value, width),
            Self::Bytes(bytes) => {
                head(out, 2, length(bytes.len()), width);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, length(text.len()), width);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Array(items) => {
                head(out, 4, length(items.len()), width);
                items.iter().for_each(|item| item.write(out, None));
            }
            Self::Map(pairs) => {
                head(out, 5, length(pairs.len()), width);
                write_pairs(out, pairs);
            }
            Self::Tag(tag, item) => {
                head(out, 6, *tag, width);
                item.write(out, None);
            }
            Self::Simple(value) => head(out, 7, u64::from(*value), width),
            Self::Float(value) => {
                out.push(0xfb);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::OpenArray(items) => {
                out.push(0x9f);
                items.iter().for_each(|item| item.write(out, None));
                out.push(0xff);
            }
            Self::OpenMap(pairs) => {
                out.push(0xbf);
                write_pairs(out, pairs);
                out.push(0xff);
            }
            Self::OpenBytes(pieces) => {
                out.push(0x5f);
                pieces.iter().for_each(|piece| Self::bytes(piece).write(out, None));
                out.push(0xff);
            }
            Self::OpenText(pieces) => {
                out.push(0x7f);
                pieces.iter().for_each(|piece| Self::text(piece).write(out, None));
                out.push(0xff);
            }
            Self::Wide(width, item) => item.write(out, Some(*width)),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn write_pairs(out: &mut Vec<u8>, pairs: &[(Cbor, Cbor)]) {
    for (key, value) in pairs {
        key.write(out, None);
        value.write(out, None);
    }
}

fn length(length: usize) -> u64 {
    u64::try_from(length).expect("lengths fit 64 bits")
}

fn head(out: &mut Vec<u8>, major: u8, value: u64, width: Option<u8>) {
    let width = width.unwrap_or(match value {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    });
    let bytes = value.to_be_bytes();
    let info = match width {
        0 => bytes[7],
        1 => 24,
        2 => 25,
        4 => 26,
        _ => 27,
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[8 - usize::from(width)..]);
}
