//! The `If` header (RFC 4918, 10.4): lists of states of which one must hold, and the tokens of locks that it submits.

use super::locks::Token;

/// What must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub lists: Vec<List>,
}

/// All of it must hold for the list to do so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The URL that it is about; none: the request's own.
    pub about: Option<String>,
    pub states: Vec<State>,
}

/// A state of an entry, or that it is not so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    pub not: bool,
    pub is: Is,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// A lock with this token holds it.
    Locked(Token),
    /// It is the version of this `ETag`.
    Version(String),
}

impl Condition {
    /// Reads the header; none if it is not understood.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut about, mut lists) = (text.trim(), None, Vec::new());
        while !rest.is_empty() {
            if let Some(url) = rest.strip_prefix('<') {
                // A list without a URL cannot come before one with a URL.
                let (url, behind) = url.split_once('>').filter(|_| lists.is_empty() || about.is_some())?;
                about = Some(url.to_owned());
                rest = behind.trim_start();
            }
            let (states, behind) = states(rest.strip_prefix('(')?)?;
            lists.push(List { about: about.clone(), states });
            rest = behind.trim_start();
        }
        (!lists.is_empty()).then_some(Self { lists })
    }

    /// All tokens that are named in it.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.lists.iter().flat_map(|list| &list.states).filter_map(|state| match &state.is {
            Is::Locked(token) => Some(token),
            Is::Version(_) => None,
        })
    }
}

/// What stands up to the `)`, and what comes behind that.
fn states(mut rest: &str) -> Option<(Vec<State>, &str)> {
    let mut states = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix(')') {
            return (!states.is_empty()).then_some((states, behind));
        }
        let not = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if not {
            rest = rest[3..].trim_start();
        }
        let is = if let Some(token) = rest.strip_prefix('<') {
            let (token, behind) = token.split_once('>')?;
            rest = behind;
            Is::Locked(Token(token.to_owned()))
        } else {
            let (tag, behind) = rest.strip_prefix('[')?.split_once(']')?;
            rest = behind;
            Is::Version(tag.trim().to_owned())
        };
        states.push(State { not, is });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_or_refused() {
        let locked = |not, token: &str| State { not, is: Is::Locked(Token(token.into())) };
        let is = Condition::parse(r#"(<urn:a> ["x"]) (Not <DAV:no-lock>)"#).unwrap();
        let version = State { not: false, is: Is::Version("\"x\"".into()) };
        assert_eq!(is.lists[0], List { about: None, states: vec![locked(false, "urn:a"), version] });
        assert_eq!(is.lists[1], List { about: None, states: vec![locked(true, "DAV:no-lock")] });
        assert_eq!(is.tokens().count(), 2);
        let is = Condition::parse("<https://h/a> (<urn:a>)(<urn:b>) <https://h/b>(not<urn:c>)").unwrap();
        let about: Vec<_> = is.lists.iter().map(|list| list.about.as_deref().unwrap()).collect();
        assert_eq!(about, ["https://h/a", "https://h/a", "https://h/b"]);
        assert_eq!(is.lists[2].states, [locked(true, "urn:c")]);
        for odd in [
            "",
            "()",
            "<a>",
            "(<a)",
            "(a)",
            "(<a>",
            "<u> <v> (<a>)",
            "(<a>) <u> (<b>)",
            "([\"x\")",
            "(Not)",
            "(n\u{f6}t <a>)",
        ] {
            assert_eq!(Condition::parse(odd), None, "{odd}");
        }
    }
}
