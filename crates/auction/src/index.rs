//! Dictionaries from texts to small numbers, without an allocation per text.

/// An open-addressing table of numbered texts. The texts stay where they are; the caller compares.
///
/// # Security
/// Bidders choose the texts, and a table whose hash they can compute can be made to collide (quadratic time, seen by the host).
/// So the hash is keyed with bytes of the run's seed that nobody sees.
pub(crate) struct Index {
    key: [u64; 2],
    /// Number of the text plus one, 0 where free; a power of two of them.
    slots: Vec<u32>,
    /// Hash by number.
    hashes: Vec<u64>,
}

impl Index {
    pub(crate) fn new(key: [u64; 2]) -> Self {
        Self { key, slots: vec![0; 64], hashes: Vec::new() }
    }

    /// The number of `text`, if it is in. `is(n)` says whether the text with the number `n` is equal to it.
    pub(crate) fn find(&self, prefix: u64, text: &[u8], is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.probe(hash(self.key, prefix, text), is).ok()
    }

    /// The number of `text`, and whether it is new: then it is the next number and the caller keeps the text.
    pub(crate) fn insert(&mut self, prefix: u64, text: &[u8], is: impl FnMut(u32) -> bool) -> (u32, Entry) {
        let hash = hash(self.key, prefix, text);
        match self.probe(hash, is) {
            Ok(number) => (number, Entry::Known),
            Err(slot) => {
                let number =
                    u32::try_from(self.hashes.len()).expect("fewer texts than rows, which a u32 counts");
                self.hashes.push(hash);
                self.slots[slot] = number + 1;
                if self.hashes.len() * 2 > self.slots.len() {
                    self.grow();
                }
                (number, Entry::New)
            }
        }
    }

    fn probe(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = position(hash, mask);
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                taken => {
                    let number = taken - 1;
                    if self.hashes[number as usize] == hash && is(number) {
                        return Ok(number);
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 4 - 1;
        let mut slots = vec![0; mask + 1];
        for (number, hash) in (1..).zip(&self.hashes) {
            let mut slot = position(*hash, mask);
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = number;
        }
        self.slots = slots;
    }
}

/// Whether a text was in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Known,
    New,
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits select the slot")]
fn position(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

/// Multiply and fold (the construction of wyhash) with a secret key.
fn hash(key: [u64; 2], prefix: u64, text: &[u8]) -> u64 {
    let mut state = fold(key[0] ^ prefix, key[1] ^ text.len() as u64);
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        state = fold(state ^ word, key[1] | 1);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(state ^ u64::from_le_bytes(last), key[0] | 1)
}

#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_found_again() {
        let mut index = Index::new([0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211]);
        let texts: Vec<String> = (0..5000).map(|number| format!("bidder-{number}")).collect();
        for round in 0..2 {
            for (expected, text) in texts.iter().enumerate() {
                let (number, entry) =
                    index.insert(7, text.as_bytes(), |known| texts[known as usize] == *text);
                assert_eq!(number as usize, expected);
                assert_eq!(entry, if round == 0 { Entry::New } else { Entry::Known });
            }
        }
        assert_eq!(index.find(7, b"bidder-5000", |_| false), None);
        assert_eq!(index.find(7, b"bidder-77", |known| known == 77), Some(77));
    }

    #[test]
    fn a_useless_key_is_slow_but_right() {
        let mut index = Index::new([0, 0]);
        for number in 0..300_u32 {
            let text = number.to_le_bytes();
            assert_eq!(index.insert(0, &text, |known| known == number), (number, Entry::New));
            assert_eq!(index.insert(0, &text, |known| known == number), (number, Entry::Known));
        }
    }
}
