//! The order of a listing, and where its next page begins.

use std::cmp::Ordering;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sitta_store::look::Item;
use sitta_tree::{RelPath, Time};

/// What decides the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Name,
    Size,
    Time,
}

/// An order. What is equal in it is in the order of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub by: By,
    pub descending: bool,
}

impl Order {
    /// By name, from the first one on: as items are gathered.
    pub const NAME: Self = Self { by: By::Name, descending: false };

    /// Which of two comes first.
    pub fn compare(self, a: &Mark, b: &Mark) -> Ordering {
        let first = match self.by {
            By::Name => a.path.cmp(&b.path),
            By::Size => a.size.cmp(&b.size),
            By::Time => a.mtime.cmp(&b.mtime),
        };
        let first = if self.descending { first.reverse() } else { first };
        first.then_with(|| a.path.cmp(&b.path))
    }

    fn name(self) -> &'static str {
        let names = NAMES.iter().find(|(_, order)| *order == self);
        names.map_or("name", |(name, _)| name)
    }
}

const NAMES: [(&str, Order); 6] = [
    ("name", Order::NAME),
    ("-name", Order { by: By::Name, descending: true }),
    ("size", Order { by: By::Size, descending: false }),
    ("-size", Order { by: By::Size, descending: true }),
    ("time", Order { by: By::Time, descending: false }),
    ("-time", Order { by: By::Time, descending: true }),
];

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, order)| *order).ok_or("write name, size or time; with - in front in the opposite order")
    }
}

/// Where an entry stands in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    size: u64,
    mtime: Time,
    path: RelPath,
}

impl From<&Item> for Mark {
    fn from(item: &Item) -> Self {
        Self { size: item.size, mtime: item.mtime, path: item.path.clone() }
    }
}

impl Mark {
    /// As one word, for this order only.
    pub fn token(&self, order: Order) -> String {
        let Time { secs, nanos } = self.mtime;
        let mut text = format!("{}:{}:{secs}:{nanos}:", order.name(), self.size).into_bytes();
        text.extend_from_slice(self.path.as_bytes());
        URL_SAFE_NO_PAD.encode(text)
    }

    /// What such a word stands for; none if it is of another order, or none at all.
    pub fn read(token: &str, order: Order) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(token).ok()?;
        let mut parts = text.splitn(5, |b| *b == b':');
        let mut part = || parts.next();
        let (name, size, secs, nanos, path) = (part()?, part()?, part()?, part()?, part()?);
        let number = |bytes| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
        let mtime = Time::new(number(secs)?, u32::try_from(number(nanos)?).ok()?);
        let size = std::str::from_utf8(size).ok()?.parse().ok()?;
        (name == order.name().as_bytes()).then_some(Self { size, mtime, path: RelPath::new(path).ok()? })
    }
}

/// Puts items, which are sorted by path, into an order.
pub(super) fn sort(items: Vec<Item>, order: Order) -> Vec<(Mark, Item)> {
    let mut items: Vec<_> = items.into_iter().map(|item| (Mark::from(&item), item)).collect();
    if order != Order::NAME {
        items.sort_unstable_by(|(a, _), (b, _)| order.compare(a, b));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(size: u64, secs: i64, path: &[u8]) -> Mark {
        Mark { size, mtime: Time::new(secs, 5), path: RelPath::new(path).unwrap() }
    }

    #[test]
    fn orders_go_both_ways_and_never_tie() {
        let (a, b) = (mark(1, 9, b"a"), mark(1, 8, b"b"));
        let compare = |name: &str| name.parse::<Order>().unwrap().compare(&a, &b);
        assert_eq!(compare("name"), Ordering::Less);
        assert_eq!(compare("-name"), Ordering::Greater);
        assert_eq!(compare("time"), Ordering::Greater);
        assert_eq!(compare("-time"), Ordering::Less);
        assert_eq!([compare("size"), compare("-size")], [Ordering::Less; 2], "the same size: by path");
        assert!("Name".parse::<Order>().is_err() && "--name".parse::<Order>().is_err());
    }

    #[test]
    fn tokens_come_back_as_they_went_in_their_order_only() {
        for (name, order) in NAMES {
            let mark = mark(u64::MAX, -3, b"d:x/\xff:");
            let token = mark.token(order);
            assert_eq!(Mark::read(&token, order), Some(mark), "{name}");
            for (_, other) in NAMES.iter().filter(|(_, other)| *other != order) {
                assert_eq!(Mark::read(&token, *other), None, "{name}");
            }
        }
        for odd in ["", "a", "!", "bmFtZTox", "bmFtZToxOjI6MzouLi94"] {
            assert_eq!(Mark::read(odd, Order::NAME), None, "{odd}");
        }
    }
}
