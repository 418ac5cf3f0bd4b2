//! Which documents a bucket holds: their numbers, rising, as differences in LEB128.

use super::Fault;

/// Adds a number: seven bits a byte, the lowest first, the last byte without the top bit.
pub(super) fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Takes the number at the beginning of `from`; none if there is no whole one.
pub(super) fn get(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (n, byte) in from.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            *from = &from[n + 1..];
            return Some(number);
        }
    }
    None
}

/// Writes a list. Numbers must rise.
#[derive(Debug, Default)]
pub(super) struct List {
    bytes: Vec<u8>,
    next: u32,
}

impl List {
    pub fn push(&mut self, doc: u32) {
        put(&mut self.bytes, u64::from(doc - self.next));
        self.next = doc + 1;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.next = 0;
    }
}

/// Reads a list.
#[derive(Debug)]
pub(super) struct Docs<'b> {
    bytes: &'b [u8],
    next: u64,
}

impl<'b> Docs<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, next: 0 }
    }
}

impl Iterator for Docs<'_> {
    type Item = Result<u32, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let doc = get(&mut self.bytes).and_then(|more| self.next.checked_add(more));
        let doc = doc.and_then(|doc| u32::try_from(doc).ok());
        match doc {
            Some(doc) => {
                self.next = u64::from(doc) + 1;
                Some(Ok(doc))
            }
            None => {
                self.bytes = &[];
                Some(Err(Fault::damaged("a list of documents makes no sense")))
            }
        }
    }
}

/// Keeps of `docs`, which rise, those that the list holds.
pub(super) fn intersect(docs: &mut Vec<u32>, list: Docs<'_>) -> Result<(), Fault> {
    let (mut kept, mut at) = (0, 0);
    for doc in list {
        let doc = doc?;
        while at < docs.len() && docs[at] < doc {
            at += 1;
        }
        if at == docs.len() {
            break;
        }
        if docs[at] == doc {
            docs[kept] = doc;
            kept += 1;
        }
    }
    docs.truncate(kept);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            for cut in 0..bytes.len() {
                assert_eq!(get(&mut &bytes[..cut]), None, "{number}");
            }
            bytes.push(7);
            let mut rest = &bytes[..];
            assert_eq!((get(&mut rest), rest), (Some(number), &[7][..]));
        }
    }

    fn list(docs: &[u32]) -> List {
        let mut list = List::default();
        docs.iter().for_each(|doc| list.push(*doc));
        list
    }

    #[test]
    fn lists_come_back() {
        for docs in [&[][..], &[0], &[7], &[0, 1, 2, 3], &[5, 1000, 1001, u32::MAX - 1]] {
            let list = list(docs);
            let back: Result<Vec<u32>, Fault> = Docs::new(list.bytes()).collect();
            assert_eq!(back.unwrap(), docs);
        }
        assert_eq!(list(&[3, 4, 5]).bytes().len(), 3, "neighbours take a byte each");
    }

    #[test]
    fn nonsense_is_told() {
        for bytes in [&[0x80][..], &[0xff; 12], &[0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(Docs::new(bytes).any(|doc| doc.is_err()), "{bytes:x?}");
        }
    }

    #[test]
    fn what_two_lists_share() {
        for (a, b, both) in [
            (&[1, 3, 5, 9][..], &[0, 3, 4, 9, 10][..], &[3, 9][..]),
            (&[], &[1], &[]),
            (&[1], &[], &[]),
            (&[2, 4], &[2, 4], &[2, 4]),
            (&[7], &[1, 2, 3], &[]),
        ] {
            let mut docs = a.to_vec();
            intersect(&mut docs, Docs::new(list(b).bytes())).unwrap();
            assert_eq!(docs, both, "{a:?} {b:?}");
        }
    }
}
