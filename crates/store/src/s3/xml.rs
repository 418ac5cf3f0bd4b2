//! S3's answers, taken apart as they arrive: only one element's text is held at a time.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// The longest text or tag that is taken: keys have 1,024 bytes, messages some hundred.
const LONGEST: usize = 256 << 10;
/// How deep elements may stand in each other.
const DEEPEST: usize = 16;

/// Reads a document piece by piece.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// What came since the last whole tag.
    rest: Vec<u8>,
    text: String,
    depth: usize,
    begun: bool,
}

impl Parser {
    /// Takes more of the document; `each` gets the name and text of every element that ends, the inner ones first.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(&str, &str)) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        // Every tag ends with one. A bare one inside a text does no harm: a text may come in two pieces.
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'>') else {
            return if self.rest.len() > LONGEST { Err("an endless element".into()) } else { Ok(()) };
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        self.parse(&whole, each)
    }

    fn parse(&mut self, whole: &[u8], each: &mut impl FnMut(&str, &str)) -> Result<(), String> {
        let mut reader = Reader::from_reader(whole);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            match reader.read_event().map_err(|e| e.to_string())? {
                Event::Start(_) => {
                    self.begun = true;
                    self.text.clear();
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err("elements too deep in each other".into());
                    }
                }
                Event::End(tag) => {
                    self.depth = self.depth.checked_sub(1).ok_or("an end without a beginning")?;
                    each(tag.local_name().as_ref(), &self.text);
                    self.text.clear();
                }
                Event::Empty(tag) => {
                    self.begun = true;
                    each(tag.local_name().as_ref(), "");
                }
                Event::Text(text) => self.text.push_str(&text),
                Event::CData(text) => self.text.push_str(&text),
                Event::GeneralRef(name) => {
                    let character = name.resolve_char_ref().map_err(|e| e.to_string())?;
                    match character {
                        Some(character) => self.text.push(character),
                        None => {
                            self.text.push_str(resolve_predefined_entity(&name).ok_or("an unknown entity")?);
                        }
                    }
                }
                Event::Eof => return Ok(()),
                _ => {}
            }
            if self.text.len() > LONGEST {
                return Err("an endless text".into());
            }
        }
    }

    /// Whether the document is whole.
    pub fn finish(&self) -> Result<(), String> {
        match self.begun && self.depth == 0 && self.rest.iter().all(u8::is_ascii_whitespace) {
            true => Ok(()),
            false => Err("an answer that breaks off".into()),
        }
    }
}

/// The texts of the named elements of a small document, the first of each.
pub(super) fn texts<const N: usize>(document: &[u8], names: [&str; N]) -> [Option<String>; N] {
    let mut found = [const { None }; N];
    // What is no XML holds none of them.
    let _ = Parser::default().feed(document, &mut |name, text| {
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at].get_or_insert_with(|| text.to_owned());
        }
    });
    found
}

/// `text` as the content of an element; none if XML has no way to write it.
pub(super) fn escape(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", character as u32)),
            '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => return None,
            _ => escaped.push(character),
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(document: &str, step: usize) -> Result<Vec<String>, String> {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        for piece in document.as_bytes().chunks(step) {
            parser.feed(piece, &mut |name, text| seen.push(format!("{name}={text}")))?;
        }
        parser.finish()?;
        Ok(seen)
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let document = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><k>1 &amp; 2&#10;\u{e9}>3</k><e/><n:b><c>&quot;</c></n:b></a>\n";
        for step in [1, 2, 3, 7, 1000] {
            let seen = all(document, step).unwrap();
            assert_eq!(seen[..4], ["k=1 & 2\n\u{e9}>3", "e=", "c=\"", "b="], "{step}");
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for broken in ["<a><b>", "<a>x</a", "</a>", "nothing", "", "<a>&nope;</a>", "<a>&#xffffffff;</a>"] {
            assert!(all(broken, 3).is_err(), "{broken}");
        }
        assert!(all(&"<a>".repeat(100), 64).is_err(), "too deep");
        assert!(all(&format!("<a>{}", "x".repeat(LONGEST + 99)), 1 << 16).is_err(), "too long");
    }

    #[test]
    fn texts_of_small_documents() {
        let [code, none] = texts(b"<Error><Code>NoSuchKey</Code></Error>", ["Code", "Message"]);
        assert_eq!((code.as_deref(), none), (Some("NoSuchKey"), None));
        assert_eq!(escape("a<&>\n").as_deref(), Some("a&lt;&amp;&gt;&#10;"));
        assert_eq!(escape("\x1b"), None);
    }
}
