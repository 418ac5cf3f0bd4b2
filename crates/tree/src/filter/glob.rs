//! One pattern, matched against raw bytes.
//!
//! Own code rather than a crate: the known ones match `?` and `[…]` byte by byte, so that `?` misses an `é`. Here they
//! stand for one character of UTF-8, or for one byte of what is not UTF-8. Only the last star of a name, and the last
//! `**` of a path, ever has to be tried again, so matching takes at most the product of both lengths.

use super::PatternError;

/// How many patterns braces may unfold to.
const MAX_ALTERNATIVES: usize = 1000;

/// A pattern for a whole path relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    parts: Vec<Part>,
    /// Matches directories only: the pattern ended in `/`.
    dirs_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`: any number of names, also none.
    AnyDepth,
    /// Exactly one name.
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(Vec<u8>),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Understands one pattern; braces make several of it.
    pub fn parse(pattern: &str) -> Result<Vec<Self>, PatternError> {
        let mut alternatives = Vec::new();
        unfold(pattern, &mut alternatives)?;
        alternatives.iter().map(|pattern| Self::parse_one(pattern)).collect()
    }

    fn parse_one(pattern: &str) -> Result<Self, PatternError> {
        let (body, dirs_only) = match pattern.strip_suffix('/') {
            Some(body) if !body.ends_with('\\') => (body, true),
            _ => (pattern, false),
        };
        let anchored = body.contains('/');
        let body = body.strip_prefix('/').unwrap_or(body);
        let mut parts = Vec::new();
        if !anchored {
            parts.push(Part::AnyDepth);
        }
        for part in body.split('/') {
            match part {
                "" => return Err(PatternError::EmptyPart),
                "." | ".." => return Err(PatternError::Dots),
                "**" if parts.last() == Some(&Part::AnyDepth) => {}
                "**" => parts.push(Part::AnyDepth),
                _ => parts.push(Part::Name(tokens(part)?)),
            }
        }
        // `a/**` means what is inside of `a`, not `a` itself.
        if parts.last() == Some(&Part::AnyDepth) {
            parts.push(Part::Name(vec![Token::Many]));
        }
        Ok(Self { parts, dirs_only })
    }

    /// Whether the entry at `path` is meant.
    pub fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if self.dirs_only && !is_dir {
            return false;
        }
        match &self.parts[..] {
            [Part::AnyDepth, Part::Name(tokens)] => {
                let start = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
                name_matches(tokens, &path[start..])
            }
            parts => path_matches(parts, path),
        }
    }
}

/// Replaces the first `{a,b}` by each alternative, and so on until none is left.
fn unfold(pattern: &str, out: &mut Vec<String>) -> Result<(), PatternError> {
    let bytes = pattern.as_bytes();
    let (mut open, mut depth, mut commas, mut in_class) = (None, 0usize, Vec::new(), false);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'[' if !in_class && pattern[at + 1..].contains(']') => in_class = true,
            b']' => in_class = false,
            _ if in_class => {}
            b'{' => {
                open = open.or(Some(at));
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => {
                let start = open.expect("depth is 1");
                let mut from = start + 1;
                for to in commas.into_iter().chain([at]) {
                    unfold(&format!("{}{}{}", &pattern[..start], &pattern[from..to], &pattern[at + 1..]), out)?;
                    from = to + 1;
                }
                return Ok(());
            }
            b'}' if depth > 1 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    if depth > 0 {
        return Err(PatternError::OpenBrace);
    }
    if out.len() == MAX_ALTERNATIVES {
        return Err(PatternError::TooMany);
    }
    out.push(pattern.to_owned());
    Ok(())
}

fn tokens(part: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut literal = Vec::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        let token = match c {
            '\\' => {
                push(&mut literal, chars.next().ok_or(PatternError::TrailingBackslash)?);
                continue;
            }
            '*' => Token::Many,
            '?' => Token::One,
            '[' => {
                let (class, rest) = class(chars.as_str())?;
                chars = rest.chars();
                class
            }
            c => {
                push(&mut literal, c);
                continue;
            }
        };
        if !literal.is_empty() {
            tokens.push(Token::Literal(std::mem::take(&mut literal)));
        }
        if token != Token::Many || tokens.last() != Some(&Token::Many) {
            tokens.push(token);
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

fn push(literal: &mut Vec<u8>, c: char) {
    literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Takes a class apart, from behind its `[`; gives what follows its `]` too.
fn class(text: &str) -> Result<(Token, &str), PatternError> {
    let mut chars = text.chars().peekable();
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let mut low = chars.next().ok_or(PatternError::OpenClass)?;
        if low == ']' && !ranges.is_empty() {
            break;
        }
        if low == '\\' {
            low = chars.next().ok_or(PatternError::OpenClass)?;
        }
        let mut ahead = chars.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
            let mut high = ahead.next().expect("peeked");
            if high == '\\' {
                high = ahead.next().ok_or(PatternError::OpenClass)?;
            }
            if high < low {
                return Err(PatternError::Range(low, high));
            }
            ranges.push((low, high));
            chars = ahead;
        } else {
            ranges.push((low, low));
        }
    }
    let rest: usize = chars.map(char::len_utf8).sum();
    Ok((Token::Class { negated, ranges }, &text[text.len() - rest..]))
}

fn path_matches(mut parts: &[Part], path: &[u8]) -> bool {
    let mut rest = Some(path);
    // Where to go on when the names behind the last `**` do not fit: it then takes one name more.
    let mut retry: Option<(&[Part], &[u8])> = None;
    loop {
        match (parts.split_first(), rest) {
            (None, None) => return true,
            (Some((Part::AnyDepth, behind)), Some(path)) => {
                retry = Some((behind, path));
                parts = behind;
                continue;
            }
            (Some((Part::Name(tokens), behind)), Some(path)) => {
                let (name, below) = split_name(path);
                if name_matches(tokens, name) {
                    (parts, rest) = (behind, below);
                    continue;
                }
            }
            _ => {}
        }
        let Some((behind, path)) = retry else { return false };
        let Some(below) = split_name(path).1 else { return false };
        retry = Some((behind, below));
        (parts, rest) = (behind, Some(below));
    }
}

fn split_name(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|b| *b == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

fn name_matches(mut tokens: &[Token], mut name: &[u8]) -> bool {
    // A literal end, as in `*.jpg`, decides most cases at once.
    if let Some(Token::Literal(end)) = tokens.last()
        && !name.ends_with(end)
    {
        return false;
    }
    let mut retry: Option<(&[Token], &[u8])> = None;
    loop {
        match tokens.split_first() {
            None if name.is_empty() => return true,
            Some((Token::Many, [])) => return true,
            Some((Token::Many, behind)) => {
                retry = Some((behind, name));
                tokens = behind;
                continue;
            }
            Some((token, behind)) => {
                if let Some(below) = token.strip(name) {
                    (tokens, name) = (behind, below);
                    continue;
                }
            }
            None => {}
        }
        match retry {
            Some((behind, at)) if !at.is_empty() => {
                let at = &at[first_char(at).1..];
                retry = Some((behind, at));
                (tokens, name) = (behind, at);
            }
            _ => return false,
        }
    }
}

impl Token {
    /// What is left of `name` behind what this stands for; none if it does not begin so.
    fn strip<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        match self {
            Self::Literal(literal) => name.strip_prefix(&literal[..]),
            _ if name.is_empty() => None,
            Self::One => Some(&name[first_char(name).1..]),
            Self::Class { negated, ranges } => {
                let (c, len) = first_char(name);
                let inside = c.is_some_and(|c| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)));
                (inside != *negated).then(|| &name[len..])
            }
            Self::Many => unreachable!("the caller handles stars"),
        }
    }
}

/// The first character of a name that is not empty, and its length; a byte that is not UTF-8 counts as one.
fn first_char(name: &[u8]) -> (Option<char>, usize) {
    if name[0].is_ascii() {
        return (Some(char::from(name[0])), 1);
    }
    let head = &name[..name.len().min(4)];
    match head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) {
        Some(c) => (Some(c), c.len_utf8()),
        None => (None, 1),
    }
}

#[cfg(test)]
mod tests;
