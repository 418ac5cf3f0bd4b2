//! The XML that clients send, as small trees: bounded, without document types, every element able to stand alone.

use std::fmt::Write;

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

/// The namespace of WebDAV's own names.
pub(super) const DAV: &str = "DAV:";

/// How deep elements may stand in each other.
const DEEP: usize = 32;

/// The name of an element or property: its namespace, which may be empty, and its local name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    pub namespace: String,
    pub local: String,
}

impl Name {
    pub fn new(namespace: &str, local: &str) -> Self {
        Self { namespace: namespace.to_owned(), local: local.to_owned() }
    }

    /// Whether it is this one of WebDAV's own.
    pub fn is(&self, local: &str) -> bool {
        self.namespace == DAV && self.local == local
    }

    /// An empty element of this name.
    pub fn write_empty(&self, out: &mut String) {
        match self.namespace.as_str() {
            DAV => _ = write!(out, "<D:{}/>", self.local),
            namespace => _ = write!(out, "<{} xmlns=\"{}\"/>", self.local, escaped(namespace)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub name: Name,
    prefix: String,
    attributes: Vec<Attribute>,
    /// The language that it is in, if an element around it says so.
    language: Option<String>,
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    prefix: String,
    namespace: String,
    local: String,
    value: String,
}

impl Element {
    /// The elements directly inside.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element of WebDAV's own directly inside that is called so.
    pub fn child(&self, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.name.is(local))
    }

    fn own_language(&self) -> Option<&str> {
        self.attributes.iter().find(|a| a.prefix == "xml" && a.local == "lang").map(|a| &*a.value)
    }

    fn spoken(&self) -> Option<&str> {
        self.own_language().or(self.language.as_deref())
    }

    /// The text directly inside.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| if let Node::Text(text) = node { Some(&**text) } else { None })
            .collect()
    }

    /// Writes it so that it means the same wherever it is put: with each namespace that it uses, and its language.
    pub fn write(&self, out: &mut String) {
        self.write_in(out, None);
    }

    /// The same in an element of that language.
    fn write_in(&self, out: &mut String, around: Option<&str>) {
        let colon = if self.prefix.is_empty() { "" } else { ":" };
        let (prefix, local) = (&self.prefix, &self.name.local);
        let _ = write!(out, "<{prefix}{colon}{local} xmlns{colon}{prefix}=\"{}\"", escaped(&self.name.namespace));
        let mut declared = vec![prefix.as_str(), "", "xml"];
        for Attribute { prefix, namespace, local, value } in &self.attributes {
            if !declared.contains(&prefix.as_str()) {
                let _ = write!(out, " xmlns:{prefix}=\"{}\"", escaped(namespace));
                declared.push(prefix);
            }
            let colon = if prefix.is_empty() { "" } else { ":" };
            let _ = write!(out, " {prefix}{colon}{local}=\"{}\"", escaped(value));
        }
        if let Some(language) = self.language.as_deref().filter(|language| around != Some(*language)) {
            let _ = write!(out, " xml:lang=\"{}\"", escaped(language));
        }
        out.push('>');
        self.write_nodes(out, self.spoken());
        let _ = write!(out, "</{prefix}{colon}{local}>");
    }

    /// Writes what it holds.
    pub fn write_inside(&self, out: &mut String) {
        self.write_nodes(out, None);
    }

    fn write_nodes(&self, out: &mut String, language: Option<&str>) {
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write_in(out, language),
                Node::Text(text) => out.push_str(&escaped(text)),
            }
        }
    }
}

/// Text for an element or an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As they are, these would come out as blanks or newlines.
            '\r' | '\n' | '\t' => _ = write!(out, "&#{};", u32::from(char)),
            char => out.push(char),
        }
    }
    out
}

/// Reads a whole document.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the XML is not UTF-8")?;
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    // The elements that are still open.
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let (namespace, event) =
            reader.read_resolved_event().map_err(|error| format!("the XML is broken: {error}"))?;
        let piece = match event {
            Event::Start(start) => {
                if open.len() >= DEEP || root.is_some() {
                    return Err("the XML has elements too deep in each other, or more than one".into());
                }
                let namespace = bound(&namespace)?;
                let mut element = element(&reader, &start, namespace)?;
                if element.own_language().is_none() {
                    element.language = open.last().and_then(Element::spoken).map(str::to_owned);
                }
                open.push(element);
                continue;
            }
            Event::End(_) => {
                let element = open.pop().ok_or("the XML is broken")?;
                match open.last_mut() {
                    Some(above) => above.nodes.push(Node::Element(element)),
                    None => root = Some(element),
                }
                continue;
            }
            Event::Text(text) => text.xml_content(XmlVersion::Implicit1_0).into_owned(),
            Event::CData(text) => text.xml_content(XmlVersion::Implicit1_0).into_owned(),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(char)) => char.to_string(),
                Ok(None) => resolve_predefined_entity(&name).ok_or("the XML has an entity of its own")?.to_owned(),
                Err(error) => return Err(format!("the XML is broken: {error}")),
            },
            Event::DocType(_) => return Err("the XML has a document type, which is not read".into()),
            Event::Eof => break,
            _ => continue,
        };
        valid(&piece)?;
        match open.last_mut() {
            Some(element) => match element.nodes.last_mut() {
                Some(Node::Text(text)) => text.push_str(&piece),
                _ => element.nodes.push(Node::Text(piece)),
            },
            None if piece.trim().is_empty() => {}
            None => return Err("the XML has text outside of its element".into()),
        }
    }
    root.filter(|_| open.is_empty()).ok_or_else(|| "the XML breaks off".into())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, namespace: String) -> Result<Element, String> {
    let (local, prefix) = start.name().decompose();
    let name = Name { namespace, local: name(local.into_inner())? };
    let prefix = prefix.map_or(Ok(String::new()), |prefix| self::name(prefix.into_inner()))?;
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("the XML is broken: {error}"))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| format!("the XML is broken: {error}"))?.into_owned();
        valid(&value)?;
        match attribute.key.as_namespace_binding() {
            Some(PrefixDeclaration::Named(_)) if value.is_empty() => {
                return Err("the XML takes a namespace back, which cannot be".into());
            }
            Some(_) => continue,
            None => {}
        }
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        let prefix = attribute.key.prefix().map_or(Ok(String::new()), |prefix| self::name(prefix.into_inner()))?;
        let (namespace, local) = (bound(&namespace)?, self::name(local.into_inner())?);
        attributes.push(Attribute { prefix, namespace, local, value });
    }
    Ok(Element { name, prefix, attributes, language: None, nodes: Vec::new() })
}

fn bound(namespace: &ResolveResult<'_>) -> Result<String, String> {
    match namespace {
        ResolveResult::Bound(namespace) => {
            let namespace = unescape(namespace.0).map_err(|error| format!("the XML is broken: {error}"))?;
            valid(&namespace)?;
            Ok(namespace.into_owned())
        }
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(_) => Err("the XML has a prefix that stands for nothing".into()),
    }
}

/// A name without a colon, as far as it could do harm.
fn name(text: &str) -> Result<String, String> {
    let first = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let rest = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '\u{b7}'));
    if first && rest { Ok(text.to_owned()) } else { Err("the XML has a name that is none".into()) }
}

/// Refuses characters that XML cannot hold (XML 1.0, 2.2).
fn valid(text: &str) -> Result<(), String> {
    let odd = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(odd) { Err("the XML has a character that it cannot hold".into()) } else { Ok(()) }
}
