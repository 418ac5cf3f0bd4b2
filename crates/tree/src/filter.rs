//! Which entries take part: include and exclude patterns, sizes, times, extensions.
//!
//! # Rules
//! Rules stand in order and **the last one that matches an entry decides**. A directory that is left out is not looked
//! into, so that nothing below it can be named again: leave out `build/*` rather than `build/` to keep one thing of it.
//! If the very first rule is one that includes, only what rules include takes part: an entry that no rule matches
//! then goes the way of the nearest directory above it that one matches, and is left out if there is none. Directories
//! are walked through all the same.
//!
//! # Patterns
//! As in `.gitignore`: without a `/`, or with one at the end only, a pattern matches names at any depth; otherwise it
//! is a path from the root. A `/` at the end: directories only. `*` any characters of a name, `?` one, `[a-z]`, `[!a-z]`
//! one of these or none of them, `**` any number of directories, `{a,b}` either; `\` takes the meaning from the next one.
//!
//! # Filter files
//! One rule a line: a pattern leaves out; `!` or `+ ` before it includes; `- ` before it leaves out, as nothing does.
//! Empty lines and such that start with `#` say nothing. `\` before a first `#`, `!`, `+` or `-` makes it a part of the
//! name.

mod glob;

use crate::{RelPath, Time};
use glob::Glob;

/// What a run leaves out. Both sides are scanned with the same filter, so that what is left out on one side is neither
/// copied, compared nor deleted on the other.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<Rule>,
    /// Directories that never take part, whatever the rules say.
    never: Vec<RelPath>,
    sizes: Option<(u64, u64)>,
    times: Option<(Option<Time>, Option<Time>)>,
    /// Lower case, without the dot.
    extensions: Vec<Box<[u8]>>,
}

#[derive(Debug, Clone)]
struct Rule {
    include: bool,
    pattern: Box<str>,
    globs: Vec<Glob>,
}

/// Why a pattern cannot be understood; says how to write it instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `a//b`, `/`, or nothing at all.
    #[error("it has an empty part; write one '/' between names")]
    EmptyPart,
    /// `.` or `..`
    #[error("it has a '.' or '..' part; paths start at the root of the folder")]
    Dots,
    /// `[` without `]`
    #[error("'[' is never closed; add ']', or write '\\[' for the character itself")]
    OpenClass,
    /// `[z-a]`
    #[error("the range '{0}-{1}' is empty; write '{1}-{0}'")]
    Range(char, char),
    /// `{` without `}`
    #[error("'{{' is never closed; add '}}', or write '\\{{' for the character itself")]
    OpenBrace,
    /// `\` at the end
    #[error("it ends in a backslash; write '\\\\' for the character itself")]
    TrailingBackslash,
    /// `{a,b}{a,b}…`
    #[error("its braces stand for more than 1,000 patterns; write several rules")]
    TooMany,
    /// A line of a filter file.
    #[error("it is not UTF-8; write '?' for each byte that is not")]
    NotUtf8,
}

/// A line of a filter file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: '{}': {error}", crate::Printable(pattern.as_bytes()))]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// The rule's pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub error: PatternError,
}

impl Filter {
    /// A filter that leaves out nothing, to be narrowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule behind all others that leaves out.
    pub fn exclude(&mut self, pattern: &str) -> Result<(), PatternError> {
        self.rule(false, pattern)
    }

    /// Adds a rule behind all others that includes.
    pub fn include(&mut self, pattern: &str) -> Result<(), PatternError> {
        self.rule(true, pattern)
    }

    fn rule(&mut self, include: bool, pattern: &str) -> Result<(), PatternError> {
        self.rules.push(Rule { include, pattern: pattern.into(), globs: Glob::parse(pattern)? });
        Ok(())
    }

    /// Adds the rules of a filter file.
    pub fn rules_from(&mut self, text: &[u8]) -> Result<(), LineError> {
        for (index, line) in text.split(|b| *b == b'\n').enumerate() {
            let failed = |pattern: &str, error| LineError { line: index + 1, pattern: pattern.to_owned(), error };
            let line = match std::str::from_utf8(line) {
                Ok(line) => trim(line),
                Err(_) => return Err(failed(&String::from_utf8_lossy(line), PatternError::NotUtf8)),
            };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (include, pattern) = match line.split_at_checked(1) {
                Some(("!", pattern)) => (true, pattern),
                Some(("+", pattern)) if pattern.starts_with([' ', '\t']) => (true, pattern.trim_start()),
                Some(("-", pattern)) if pattern.starts_with([' ', '\t']) => (false, pattern.trim_start()),
                _ => (false, line),
            };
            self.rule(include, pattern).map_err(|error| failed(pattern, error))?;
        }
        Ok(())
    }

    /// Leaves out the directory `dir` and what it holds, whatever the rules say.
    pub fn never(&mut self, dir: RelPath) {
        self.never.push(dir);
    }

    /// Only files of `min` to `max` bytes, both included.
    pub fn sizes(&mut self, min: Option<u64>, max: Option<u64>) {
        self.sizes = (min.is_some() || max.is_some()).then(|| (min.unwrap_or(0), max.unwrap_or(u64::MAX)));
    }

    /// Only files last modified at `since` or later, and before `until`.
    pub fn modified(&mut self, since: Option<Time>, until: Option<Time>) {
        self.times = (since.is_some() || until.is_some()).then_some((since, until));
    }

    /// Only files whose name ends in one of the extensions, in upper or lower case. Called once for each; with or
    /// without the dot.
    pub fn extension(&mut self, extension: &[u8]) {
        let bare = extension.strip_prefix(b".").unwrap_or(extension);
        self.extensions.push(bare.to_ascii_lowercase().into());
    }

    /// Whether nothing is ever left out.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.never.is_empty() && !self.asks_files()
    }

    /// Whether files are chosen by what directories do not have: size, time, extension.
    pub fn asks_files(&self) -> bool {
        self.sizes.is_some() || self.times.is_some() || !self.extensions.is_empty()
    }

    /// Whether the entry at `path` (bytes relative to the root, no leading slash) is left out by its name. A directory
    /// that is left out is not descended into: this is asked only for entries of directories that take part. For others
    /// there is [`Filter::excludes_within`].
    pub fn excludes(&self, path: &[u8], is_dir: bool) -> bool {
        if self.never.iter().any(|dir| is_within(path, dir.as_bytes())) {
            return true;
        }
        let Some(first) = self.rules.first() else { return false };
        match self.verdict(path, is_dir) {
            Some(include) => !include,
            None if !first.include || is_dir => false,
            None => parents(path).find_map(|dir| self.verdict(dir, true)) != Some(true),
        }
    }

    /// Whether the entry at `path` is meant itself, for listings: as not excluded, but a directory that is merely
    /// walked through is not meant.
    pub fn selects(&self, path: &[u8], is_dir: bool) -> bool {
        let walked = is_dir && self.rules.first().is_some_and(|first| first.include);
        let named = || std::iter::once(path).chain(parents(path)).find_map(|path| self.verdict(path, true));
        !self.excludes(path, is_dir) && (!walked || named() == Some(true))
    }

    /// Whether the entry at `path` is left out by its name or by that of a directory above it: for stores that list
    /// a whole tree at once.
    pub fn excludes_within(&self, path: &[u8], is_dir: bool) -> bool {
        !(self.rules.is_empty() && self.never.is_empty())
            && (self.excludes(path, is_dir) || parents(path).any(|dir| self.excludes(dir, true)))
    }

    /// What the last rule that matches says.
    fn verdict(&self, path: &[u8], is_dir: bool) -> Option<bool> {
        let decides = |rule: &&Rule| rule.globs.iter().any(|glob| glob.matches(path, is_dir));
        self.rules.iter().rev().find(decides).map(|rule| rule.include)
    }

    /// Whether a file takes part by its size, time and extension. Asked after [`Filter::excludes`], for files only.
    pub fn admits_file(&self, path: &[u8], size: u64, mtime: Time) -> bool {
        self.sizes.is_none_or(|(min, max)| (min..=max).contains(&size))
            && self.times.is_none_or(|(since, until)| {
                since.is_none_or(|since| mtime >= since) && until.is_none_or(|until| mtime < until)
            })
            && (self.extensions.is_empty() || self.extensions.iter().any(|e| has_extension(path, e)))
    }

    /// What tells this filter from another one: the same on every machine and in every version. Order counts; 0 only
    /// for a filter that leaves out nothing.
    pub fn digest(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut digest = Digest::new();
        for rule in &self.rules {
            digest.field(if rule.include { b"+" } else { b"-" }, rule.pattern.as_bytes());
        }
        for dir in &self.never {
            digest.field(b"never", dir.as_bytes());
        }
        if let Some((min, max)) = self.sizes {
            digest.field(b"min", &min.to_le_bytes());
            digest.field(b"max", &max.to_le_bytes());
        }
        if let Some((since, until)) = self.times {
            for (name, time) in [(b"since", since), (b"until", until)] {
                if let Some(time) = time {
                    digest.field(name, &time.as_nanos().to_le_bytes());
                }
            }
        }
        for extension in &self.extensions {
            digest.field(b"ext", extension);
        }
        digest.0.max(1)
    }
}

/// Drops the end of the line and blanks before it, as long as no backslash keeps one.
fn trim(line: &str) -> &str {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let trimmed = line.trim_end_matches([' ', '\t']);
    let backslashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
    if backslashes % 2 == 1 && trimmed.len() < line.len() { &line[..trimmed.len() + 1] } else { trimmed }
}

/// The directories above `path`, nearest first; not the root.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let up = |path: &[u8]| path.iter().rposition(|b| *b == b'/');
    std::iter::successors(up(path), move |end| up(&path[..*end])).map(|end| &path[..end])
}

fn is_within(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'))
}

fn has_extension(path: &[u8], extension: &[u8]) -> bool {
    let Some(dot) = path.len().checked_sub(extension.len() + 1) else { return false };
    // A name that is nothing but the extension (`.jpg`) has none.
    path[dot] == b'.' && dot > 0 && path[dot - 1] != b'/' && path[dot + 1..].eq_ignore_ascii_case(extension)
}

/// FNV-1a, which never changes.
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        // The length comes first, so that no two lists of fields are the same bytes.
        let lengths = [name.len() as u64, value.len() as u64].map(u64::to_le_bytes);
        for byte in lengths.iter().flatten().chain(name).chain(value) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &str) -> Filter {
        let mut filter = Filter::new();
        filter.rules_from(rules.as_bytes()).expect("rules");
        filter
    }

    /// Which of `paths` take part; a directory ends in `/`.
    fn kept<'p>(filter: &Filter, paths: &[&'p str]) -> Vec<&'p str> {
        let keep = |path: &&&str| match path.strip_suffix('/') {
            Some(dir) => !filter.excludes_within(dir.as_bytes(), true),
            None => !filter.excludes_within(path.as_bytes(), false),
        };
        paths.iter().filter(keep).copied().collect()
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let rules = filter("*.log\n!keep.log\nsecret/\n- keep.log.old\n+ b.tmp\n");
        let paths = ["a.log", "keep.log", "secret/", "secret/x", "x/secret", "keep.log.old", "b.tmp"];
        assert_eq!(kept(&rules, &paths), ["keep.log", "x/secret", "b.tmp"]);
        assert_eq!(kept(&filter("!a\na\n"), &["a"]), [""; 0]);
    }

    #[test]
    fn nothing_below_a_directory_that_is_left_out() {
        assert_eq!(kept(&filter("build/\n!build/keep"), &["build/", "build/keep"]), [""; 0]);
        assert_eq!(
            kept(&filter("build/*\n!build/keep"), &["build/", "build/x", "build/keep"]),
            ["build/", "build/keep"]
        );
    }

    #[test]
    fn including_first_leaves_out_the_rest() {
        let rules = filter("!*.jpg\n!docs/\ndocs/*.tmp");
        let paths = ["a.jpg", "b.txt", "x/", "x/c.jpg", "docs/", "docs/d/", "docs/d/e.txt", "docs/f.tmp"];
        assert_eq!(kept(&rules, &paths), ["a.jpg", "x/", "x/c.jpg", "docs/", "docs/d/", "docs/d/e.txt"]);
        assert!(!rules.selects(b"x", true) && rules.selects(b"docs", true) && rules.selects(b"docs/d", true));
    }

    #[test]
    fn filter_files_have_comments_prefixes_and_escapes() {
        let rules = filter("# comment\r\n\n  \n\\#a\n\\!b\n-c\n+d\n+\te\n-  f  \ng\\ \r\n");
        let told: Vec<_> = rules.rules.iter().map(|r| (r.include, &*r.pattern)).collect();
        let expected = [
            (false, "\\#a"),
            (false, "\\!b"),
            (false, "-c"),
            (false, "+d"),
            (true, "e"),
            (false, "f"),
            (false, "g\\ "),
        ];
        assert_eq!(told, expected);
        assert!(rules.excludes(b"#a", false) && rules.excludes(b"!b", false) && rules.excludes(b"g ", false));
    }

    #[test]
    fn errors_name_the_line() {
        let mut filter = Filter::new();
        let error = filter.rules_from(b"ok\n\n!bad[\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 3: 'bad[': '[' is never closed; add ']', or write '\\[' for the character itself"
        );
        let error = filter.rules_from(b"\xff").unwrap_err();
        assert_eq!((error.line, error.error), (1, PatternError::NotUtf8));
    }

    #[test]
    fn some_directories_never_take_part() {
        let mut filter = filter("!*");
        filter.never(RelPath::new("old/trash").unwrap());
        assert_eq!(kept(&filter, &["old/", "old/trash/", "old/trash/x", "old/trashed"]), ["old/", "old/trashed"]);
    }

    #[test]
    fn files_are_chosen_by_size_time_and_extension() {
        let admits = |set: fn(&mut Filter), path: &str, size, secs| {
            let mut filter = Filter::new();
            set(&mut filter);
            filter.admits_file(path.as_bytes(), size, Time::new(secs, 0))
        };
        let sizes: fn(&mut Filter) = |f| f.sizes(Some(10), Some(20));
        assert!(admits(sizes, "a", 10, 0) && admits(sizes, "a", 20, 0));
        assert!(!admits(sizes, "a", 9, 0) && !admits(sizes, "a", 21, 0));
        let times: fn(&mut Filter) = |f| f.modified(Some(Time::new(5, 0)), Some(Time::new(9, 0)));
        assert!(admits(times, "a", 0, 5) && !admits(times, "a", 0, 4) && !admits(times, "a", 0, 9));
        let ends: fn(&mut Filter) = |f| {
            f.extension(b".JPG");
            f.extension(b"tar.gz");
        };
        assert!(admits(ends, "x/a.jpg", 0, 0) && admits(ends, "A.JPG", 0, 0) && admits(ends, "b.tar.gz", 0, 0));
        assert!(!admits(ends, "jpg", 0, 0) && !admits(ends, "x/.jpg", 0, 0) && !admits(ends, "ajpg", 0, 0));
    }

    #[test]
    fn the_digest_is_stable_and_tells_filters_apart() {
        assert_eq!(Filter::new().digest(), 0);
        assert_eq!(
            filter("*.tmp\n!a.tmp\n").digest(),
            0xf6ce_37e3_4964_9fc2,
            "remembered in state: must not change"
        );
        assert_ne!(filter("a\nb").digest(), filter("b\na").digest());
        assert_ne!(filter("a").digest(), filter("!a").digest());
        assert_eq!(filter("# c\na\n").digest(), filter("- a").digest());
    }

    #[test]
    fn an_empty_filter_leaves_out_nothing() {
        let empty = Filter::new();
        assert!(empty.is_empty() && !empty.excludes(b"a", true) && empty.admits_file(b"a", 0, Time::default()));
    }
}
