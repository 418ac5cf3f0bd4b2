//! Three bytes in a row, hashed into buckets: what a file is known by, and what a text asks for.

/// How many buckets there are.
pub(super) const BUCKETS: u32 = 1 << BITS;

/// Their logarithm.
pub(super) const BITS: u32 = 20;

/// The bytes of a trigram.
pub(super) const LENGTH: usize = 3;

/// What fills more buckets than this says nothing about what it holds: compressed or encrypted, and large.
const MOST: usize = BUCKETS as usize / 2;

/// A long text is looked for by so many of its trigrams.
const ASKED: usize = 48;

/// By Knuth's multiplicative hash.
fn bucket(trigram: u32) -> u32 {
    trigram.wrapping_mul(0x9e37_79b1) >> (32 - BITS)
}

/// The buckets of one file, gathered while it is read.
#[derive(Debug)]
pub(super) struct Bag {
    /// A bit for each bucket.
    set: Vec<u64>,
    found: Vec<u32>,
    /// The last three bytes.
    window: u32,
    /// How many bytes the window holds.
    held: usize,
}

impl Bag {
    pub fn new() -> Self {
        Self { set: vec![0; BUCKETS as usize / 64], found: Vec::new(), window: 0, held: 0 }
    }

    /// Takes in the next bytes of the file; false once it tells nothing any more.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        let fresh = LENGTH.saturating_sub(1 + self.held).min(bytes.len());
        let mut window = self.window;
        for byte in &bytes[..fresh] {
            window = (window << 8) | u32::from(*byte);
        }
        self.held += fresh;
        for byte in &bytes[fresh..] {
            window = (window << 8 | u32::from(*byte)) & 0xff_ffff;
            let bucket = bucket(window);
            let (word, bit) = (&mut self.set[bucket as usize / 64], 1 << (bucket % 64));
            if *word & bit == 0 {
                *word |= bit;
                self.found.push(bucket);
            }
        }
        self.window = window;
        self.found.len() <= MOST
    }

    /// The buckets, in no order.
    pub fn found(&self) -> &[u32] {
        &self.found
    }

    /// Begins with the next file.
    pub fn clear(&mut self) {
        for bucket in self.found.drain(..) {
            self.set[bucket as usize / 64] = 0;
        }
        (self.window, self.held) = (0, 0);
    }
}

/// The buckets that whatever holds `text` is in, sorted; none for a text too short to have any.
pub(super) fn asked(text: &[u8]) -> Vec<u32> {
    let mut buckets: Vec<u32> = text
        .windows(LENGTH)
        .map(|bytes| bucket(bytes.iter().fold(0, |window, byte| window << 8 | u32::from(*byte))))
        .collect();
    buckets.sort_unstable();
    buckets.dedup();
    // From all over the text: its beginning may be what many files have in common.
    let step = buckets.len().div_ceil(ASKED).max(1);
    buckets.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pieces: &[&[u8]]) -> Vec<u32> {
        let mut bag = Bag::new();
        assert!(pieces.iter().all(|piece| bag.take(piece)));
        let mut found = bag.found().to_vec();
        found.sort_unstable();
        found
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = b"\xff\x00the needle\x00\xfe";
        let whole = buckets(&[text]);
        assert_eq!(whole, asked(text));
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(buckets(&pieces), whole, "{cut} {second}");
            }
        }
        assert!(buckets(&[b"ab"]).is_empty());
        assert!(asked(b"ab").is_empty());
    }

    #[test]
    fn a_bag_is_used_again() {
        let mut bag = Bag::new();
        bag.take(b"one file");
        bag.clear();
        bag.take(b"an");
        bag.take(b"d");
        assert_eq!(bag.found(), asked(b"and"), "nothing is left of the first, not even its last bytes");
    }

    #[test]
    fn a_long_text_asks_for_some_of_its_own_buckets() {
        let text: Vec<u8> = (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (some, all) = (asked(&text), buckets(&[&text]));
        assert!((LENGTH..=ASKED).contains(&some.len()), "{}", some.len());
        assert!(some.iter().all(|bucket| all.binary_search(bucket).is_ok()));
    }

    #[test]
    fn noise_is_known_as_such() {
        let mut bag = Bag::new();
        let mut seed = 1_u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        let pieces: Vec<Vec<u8>> = (0..32).map(|_| (0..1 << 16).map(|_| noise()).collect()).collect();
        assert!(!pieces.iter().all(|piece| bag.take(piece)));
    }
}
