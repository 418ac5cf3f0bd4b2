use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, path: impl AsRef<[u8]>) -> bool {
    let globs = Glob::parse(pattern).expect("a pattern");
    let path = path.as_ref();
    match path.strip_suffix(b"/") {
        Some(dir) => globs.iter().any(|glob| glob.matches(dir, true)),
        None => globs.iter().any(|glob| glob.matches(path, false)),
    }
}

#[test]
fn names_match_at_any_depth_and_paths_from_the_root() {
    for (pattern, path, expected) in [
        ("foo", "foo", true),
        ("foo", "a/b/foo", true),
        ("foo", "a/foo/b", false),
        ("foo", "xfoo", false),
        ("/foo", "foo", true),
        ("/foo", "a/foo", false),
        ("a/b", "a/b", true),
        ("a/b", "x/a/b", false),
        ("foo/", "foo/", true),
        ("foo/", "foo", false),
        ("a/foo/", "a/foo/", true),
        ("*.txt", "a/b.txt", true),
        ("*.txt", ".txt", true),
        ("a/*.txt", "a/b/c.txt", false),
        ("*", "a/b", true),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn two_stars_span_names() {
    for (pattern, path, expected) in [
        ("**/foo", "foo", true),
        ("**/foo", "a/b/foo", true),
        ("**/a/b", "x/a/a/b", true),
        ("a/**", "a/", false),
        ("a/**", "a/b/c", true),
        ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/c/z", true),
        ("a/**/z", "a/b/c/zz", false),
        ("a/**/m/**/z", "a/m/x/m/y/z", true),
        ("a**z", "a/z", false),
        ("**", "a/b", true),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn characters_are_characters_also_beyond_ascii() {
    for (pattern, path, expected) in [
        ("caf?", "caf\u{e9}", true),
        ("[à-ü]x", "éx", true),
        ("[!a]", "é", true),
        ("[^a]", "a", false),
        ("[a-c]x", "bx", true),
        ("[]]", "]", true),
        ("[a-]", "-", true),
        ("[\\]a]", "]", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("*a*b*c", "xaxbxbxc", true),
        ("*.{jpg,jp?g}", "a.jpeg", true),
        ("{a,b{c,d}}e", "bde", true),
        ("\\{a,b\\}", "{a,b}", true),
        ("[{]", "{", true),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
    }
    assert!(matches("a?b", b"a\xffb") && matches("*\u{e9}", b"\xff\xc3\xa9") && matches("[!a]", b"\xff"));
    assert!(!matches("?", b"\xff\xff"));
}

#[test]
fn says_what_is_wrong() {
    for (pattern, error) in [
        ("a//b", PatternError::EmptyPart),
        ("/", PatternError::EmptyPart),
        ("../a", PatternError::Dots),
        ("[ab", PatternError::OpenClass),
        ("[]", PatternError::OpenClass),
        ("[z-a]", PatternError::Range('z', 'a')),
        ("{a,b", PatternError::OpenBrace),
        ("a\\", PatternError::TrailingBackslash),
        (&"{a,b}".repeat(11), PatternError::TooMany),
    ] {
        assert_eq!(Glob::parse(pattern), Err(error), "{pattern}");
    }
}

/// The definition, without any care for speed.
fn simple(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => simple(rest, text) || (!text.is_empty() && simple(pattern, &text[1..])),
        (['?', rest @ ..], [_, text @ ..]) => simple(rest, text),
        ([c, rest @ ..], [d, text @ ..]) => c == d && simple(rest, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn agrees_with_the_definition(pattern in "[aé*?]{1,8}", text in "[aéb]{1,10}") {
        prop_assume!(pattern != "**");
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(matches(&pattern, &text), simple(&p, &t), "{} {}", pattern, text);
    }

    #[test]
    fn paths_agree_with_the_definition(pattern in "(a|b|\\*\\*|\\*)(/(a|b|\\*\\*|\\*)){1,5}", path in "(a|b)(/(a|b)){0,6}") {
        // The definition for paths: each name is one character, `**/` any number of them, `*` exactly one.
        let names: Vec<char> = path.chars().filter(|c| *c != '/').collect();
        let trailing = pattern.ends_with("**");
        let mut parts: Vec<char> =
            pattern.split('/').map(|p| match p { "**" => '*', "*" => '?', p => p.chars().next().unwrap() }).collect();
        if trailing { parts.push('?'); }
        prop_assert_eq!(matches(&pattern, &path), simple(&parts, &names), "{} {}", pattern, path);
    }

    #[test]
    fn never_panics(pattern in "\\PC{0,12}", path in proptest::collection::vec(1u8.., 1..12)) {
        if let Ok(globs) = Glob::parse(&pattern) {
            for glob in globs { glob.matches(&path, false); }
        }
    }
}
