//! Segments in the making: of files that were just read, and of other segments.

use std::path::Path;

use super::Fault;
use super::postings::{Docs, List};
use super::segment::{Segment, Walk, Writer};
use super::trigram::BUCKETS;

/// Documents with their buckets, until there are enough of them for a segment.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// The buckets of one document after the other.
    buckets: Vec<u32>,
    /// Where each document's end.
    ends: Vec<usize>,
}

impl Builder {
    /// Adds the next document.
    pub fn add(&mut self, buckets: &[u32]) {
        self.buckets.extend_from_slice(buckets);
        self.ends.push(self.buckets.len());
    }

    /// How many there are.
    pub fn docs(&self) -> u32 {
        self.ends.len() as u32
    }

    /// How much memory it takes to hold this and to write it, in bytes, but for what is the same for all.
    pub fn bytes(&self) -> usize {
        self.buckets.len() * 2 * size_of::<u32>()
    }

    /// Writes what was added since the last time, as documents from `first` on.
    pub fn write(&mut self, path: &Path, first: u64) -> Result<Segment, Fault> {
        // Where each bucket's documents begin; documents come in order, so a stable counting sort leaves them so.
        let mut starts = vec![0_u32; BUCKETS as usize + 1];
        for bucket in &self.buckets {
            starts[*bucket as usize + 1] += 1;
        }
        for bucket in 0..BUCKETS as usize {
            starts[bucket + 1] += starts[bucket];
        }
        let mut docs = vec![0_u32; self.buckets.len()];
        let mut next = starts.clone();
        let mut begin = 0;
        for (doc, end) in self.ends.iter().enumerate() {
            for bucket in &self.buckets[begin..*end] {
                let at = &mut next[*bucket as usize];
                docs[*at as usize] = doc as u32;
                *at += 1;
            }
            begin = *end;
        }
        let mut writer = Writer::create(path, first, self.docs(), docs.len() as u64)?;
        let mut list = List::default();
        for bucket in 0..BUCKETS {
            let of_bucket = starts[bucket as usize] as usize..starts[bucket as usize + 1] as usize;
            if !of_bucket.is_empty() {
                list.clear();
                docs[of_bucket].iter().for_each(|doc| list.push(*doc));
                writer.push(bucket, list.bytes())?;
            }
        }
        (self.buckets, self.ends) = (Vec::new(), Vec::new());
        writer.finish()
    }
}

/// Writes neighbouring segments, in the order of their documents, as one. Documents for which `lives` is false are left
/// out; their numbers stay unused. `go_on` is asked now and then.
pub(super) fn merge(
    path: &Path,
    segments: &[&Segment],
    lives: impl Fn(u64) -> bool,
    go_on: impl Fn() -> bool,
) -> Result<Option<Segment>, Fault> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(None) };
    let docs = u32::try_from(last.first + u64::from(last.docs) - first.first);
    let docs = docs.map_err(|_| Fault::damaged("the files of the index do not fit together"))?;
    let postings = segments.iter().map(|segment| segment.size()).sum();
    let mut writer = Writer::create(path, first.first, docs, postings)?;
    let mut sources: Vec<Source<'_>> = Vec::new();
    for segment in segments {
        sources.push(Source::new(segment.walk(), segment.first - first.first)?);
    }
    let mut list = List::default();
    while let Some(bucket) = sources.iter().filter_map(|source| source.bucket).min() {
        list.clear();
        for source in sources.iter_mut().filter(|source| source.bucket == Some(bucket)) {
            for doc in Docs::new(&source.list) {
                let doc = u64::from(doc?) + source.shift;
                if lives(first.first + doc) {
                    list.push(doc as u32);
                }
            }
            source.step()?;
        }
        if !list.bytes().is_empty() {
            writer.push(bucket, list.bytes())?;
        }
        if bucket % 1024 == 0 && !go_on() {
            return Ok(None);
        }
    }
    writer.finish().map(Some)
}

/// A segment that is being merged.
struct Source<'s> {
    walk: Walk<'s>,
    /// How far its documents are behind the first of all.
    shift: u64,
    /// The bucket at hand; none at the end.
    bucket: Option<u32>,
    list: Vec<u8>,
}

impl<'s> Source<'s> {
    fn new(walk: Walk<'s>, shift: u64) -> Result<Self, Fault> {
        let mut source = Self { walk, shift, bucket: None, list: Vec::new() };
        source.step()?;
        Ok(source)
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.list.clear();
        self.bucket = self.walk.next()?.map(|(bucket, list)| {
            self.list.extend_from_slice(list);
            bucket
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::trigram::{Bag, asked};
    use super::*;

    /// Documents of a few words each.
    fn texts(count: usize, seed: usize) -> Vec<String> {
        let word = |n: usize| ["red", "green", "blue-ish", "x", "ultramarine", "\u{e9}t\u{e9}"][n % 6];
        (0..count).map(|n| (0..n % 5).map(|k| word(n / 5 + k * 7 + seed)).collect::<Vec<_>>().join(" ")).collect()
    }

    fn build(path: &Path, first: u64, texts: &[String]) -> Segment {
        let (mut bag, mut builder) = (Bag::new(), Builder::default());
        for text in texts {
            bag.clear();
            bag.take(text.as_bytes());
            builder.add(bag.found());
        }
        assert_eq!(builder.docs() as usize, texts.len());
        let segment = builder.write(path, first).unwrap();
        assert_eq!((builder.docs(), builder.bytes()), (0, 0), "it begins anew");
        segment
    }

    /// No document that holds the needle is missing, and few are there that do not.
    fn check(segment: &Segment, texts: &[String], needle: &str) {
        let found = segment.holding(&asked(needle.as_bytes())).unwrap();
        let expected: Vec<u32> =
            (0..texts.len()).filter(|n| texts[*n].contains(needle)).map(|n| n as u32).collect();
        assert!(expected.iter().all(|doc| found.contains(doc)), "{needle}: {found:?} lacks some of {expected:?}");
        assert!(found.len() <= expected.len() + 4, "{needle}: {found:?} instead of {expected:?}");
    }

    #[test]
    fn what_was_written_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 3, 300] {
            let texts = texts(count, 0);
            let path = dir.path().join(format!("{count}"));
            let segment = build(&path, 17, &texts);
            assert_eq!((segment.first, segment.docs as usize), (17, count));
            for needle in ["red", "ultramarine", "e b", "\u{e9}t\u{e9} red", "nowhere"] {
                check(&segment, &texts, needle);
                check(&Segment::open(&path).unwrap(), &texts, needle);
            }
        }
    }

    #[test]
    fn merged_it_is_the_same_without_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        let (all, mut segments, mut first) = (texts(400, 3), Vec::new(), 100);
        for (n, part) in [&all[..1], &all[1..200], &[], &all[200..]].iter().enumerate() {
            segments.push(build(&dir.path().join(n.to_string()), first, part));
            first += part.len() as u64;
        }
        let segments: Vec<&Segment> = segments.iter().collect();
        let merged = merge(&dir.path().join("all"), &segments, |_| true, || true).unwrap().unwrap();
        assert_eq!((merged.first, merged.docs), (100, 400));
        let whole = build(&dir.path().join("whole"), 100, &all);
        let bytes = |name: &str| fs::read(dir.path().join(name)).unwrap();
        let holding = |segment: &Segment, needle: &str| segment.holding(&asked(needle.as_bytes())).unwrap();
        for needle in ["red", "blue-ish", "ultramarine", "nowhere"] {
            assert_eq!(holding(&merged, needle), holding(&whole, needle));
        }
        assert!(!bytes("all").is_empty());
        let odd = merge(&dir.path().join("odd"), &segments, |doc| doc % 2 == 1, || true).unwrap().unwrap();
        let found = holding(&odd, "red");
        assert!(!found.is_empty() && found.iter().all(|doc| (doc + 100) % 2 == 1), "{found:?}");
        assert!(odd.size() < merged.size());
        assert!(
            merge(&dir.path().join("none"), &segments, |_| true, || false).unwrap().is_none(),
            "it was stopped"
        );
    }

    /// Whatever byte is another one, and wherever the file ends early, somebody notices.
    #[test]
    fn damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        build(&path, 5, &texts(40, 1));
        let good = fs::read(&path).unwrap();
        let look = || -> Result<(), Fault> {
            let segment = Segment::open(&path)?;
            let mut walk = segment.walk();
            while let Some((_, list)) = walk.next()? {
                Docs::new(list).try_for_each(|doc| doc.map(drop))?;
            }
            Ok(())
        };
        assert!(look().is_ok());
        for at in (0..good.len()).step_by(7).chain(good.len() - 60..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(&path, &bad).unwrap();
            assert!(look().is_err(), "byte {at} of {}", good.len());
            fs::write(&path, &good[..at]).unwrap();
            assert!(look().is_err(), "cut at {at}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(look(), Err(Fault::Damaged(_))));
    }
}
