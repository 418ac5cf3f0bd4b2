//! Paths below a store's root: raw bytes, validated once, printed safely.

use std::cmp::Ordering;
use std::fmt;

/// A path relative to a store's root: `/`-separated raw bytes, never absolute, with no empty part, no `.` or
/// `..` and no NUL. The empty path is the root itself.
///
/// Orders by parts, so that a directory comes right before what it holds (`a`, `a/b`, `a-b`).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct RelPath(Box<[u8]>);

/// Why bytes are not a [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty part, as in `a//b` or `/a`.
    #[error("has an empty part")]
    Empty,
    /// A `.` or `..` part.
    #[error("has a '.' or '..' part")]
    Dots,
    /// A NUL byte.
    #[error("holds a NUL byte")]
    Nul,
    /// A single name that holds a `/`.
    #[error("is a name with a '/' in it")]
    Slash,
}

/// Checks one name: what a directory entry may be called.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        _ if name.contains(&0) => Err(PathError::Nul),
        _ if name.contains(&b'/') => Err(PathError::Slash),
        _ => Ok(()),
    }
}

impl RelPath {
    /// The store's root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Validates `bytes`; the empty string is the root.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        if !bytes.is_empty() {
            for part in bytes.split(|b| *b == b'/') {
                check_name(part)?;
            }
        }
        Ok(Self(bytes.into()))
    }

    /// For bytes that are known to be valid, such as the names of a [`crate::Tree`] joined by `/`.
    pub(crate) fn from_valid(bytes: Vec<u8>) -> Self {
        debug_assert!(Self::new(&bytes).is_ok());
        Self(bytes.into_boxed_slice())
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of `name` inside this directory.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            bytes.extend_from_slice(&self.0);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// The path of `below` inside this directory.
    pub fn join_path(&self, below: &Self) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => Self([&*self.0, b"/", &*below.0].concat().into_boxed_slice()),
        }
    }

    /// The directory that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(at) => &self.0[at + 1..],
            None => &self.0,
        }
    }

    /// The parts from the root down.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// How many parts the path has; 0 for the root.
    pub fn depth(&self) -> usize {
        self.parts().count()
    }

    /// This path as it starts from `dir`: the root for `dir` itself, none for what does not lie there.
    pub fn below(&self, dir: &Self) -> Option<Self> {
        if dir.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&*dir.0)?.split_first() {
            None => Some(Self::root()),
            Some((b'/', rest)) => Some(Self(rest.into())),
            Some(_) => None,
        }
    }

    /// Whether this is `dir` or lies somewhere below it.
    pub fn is_within(&self, dir: &Self) -> bool {
        dir.is_root() || self.0.strip_prefix(&*dir.0).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Prints safely: see [`Printable`].
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Shows raw bytes so that a terminal cannot be steered by them: control characters, bidirectional overrides and
/// what is not UTF-8 are escaped as `\n`, `\t`, `\r`, `\u{…}` or `\xNN`; a backslash becomes `\\`.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if c.is_control() || is_invisible(c) => write!(f, "{}", c.escape_unicode())?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that reorder or hide text: bidirectional controls, line and paragraph separators, zero-width marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    #[test]
    fn refuses_what_could_escape_the_root() {
        assert_eq!(RelPath::new("/a"), Err(PathError::Empty));
        assert_eq!(RelPath::new("a//b"), Err(PathError::Empty));
        assert_eq!(RelPath::new("a/"), Err(PathError::Empty));
        assert_eq!(RelPath::new("a/../b"), Err(PathError::Dots));
        assert_eq!(RelPath::new("."), Err(PathError::Dots));
        assert_eq!(RelPath::new(b"a\0b"), Err(PathError::Nul));
        assert_eq!(path("a").join(b"b/c"), Err(PathError::Slash));
    }

    #[test]
    fn takes_paths_apart() {
        let p = path("a/b/c");
        assert_eq!(p.name(), b"c");
        assert_eq!(p.parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
        assert_eq!((p.depth(), RelPath::root().depth()), (3, 0));
        assert!(p.is_within(&path("a/b")) && p.is_within(&RelPath::root()) && p.is_within(&p));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(path("a").join_path(&path("b/c")), p);
    }

    #[test]
    fn a_directory_sorts_right_before_its_content() {
        let mut paths = [path("a-b"), path("a/z"), path("a"), RelPath::root()];
        paths.sort();
        assert_eq!(paths, [RelPath::root(), path("a"), path("a/z"), path("a-b")]);
    }

    #[test]
    fn prints_nothing_that_steers_a_terminal() {
        let shown = Printable(b"a\x1b[2J\n\xff\\\xe2\x80\xae\xc3\xa9").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\n\\xff\\\\\\u{202e}\u{e9}");
    }
}
