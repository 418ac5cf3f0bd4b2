//! Names of archives that say when they were made: written from a template, and recognised by it.
//!
//! `{date}` is the day (`2026-11-21`), `{time}` the time of day (`131440`), both local; `{host}` the machine, `{job}` the
//! job. Everything else stands for itself.

use std::fmt;

use crate::civil::{Civil, DAY};
use crate::retention::Stamp;
use crate::{PathError, check_name};

/// How the archives of one job are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Date,
    Time,
}

/// What stands at one place of a name.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// Always this.
    Byte(u8),
    /// Some digit of a date or a time.
    Digit,
}

/// What names of one job have in common.
#[derive(Debug, Clone, Copy)]
pub struct Names<'n> {
    /// The machine: `{host}`.
    pub host: &'n str,
    /// The job: `{job}`.
    pub job: &'n str,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{dat}`
    #[error("there is no {{{0}}}; known are {{date}}, {{time}}, {{host}} and {{job}}")]
    Unknown(String),
    /// `{date`, or a `}` on its own.
    #[error("'{{' and '}}' stand round one of date, time, host and job only")]
    Braces,
    /// A value that cannot be a part of a name.
    #[error("the name '{0}' it makes {1}")]
    Name(String, PathError),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str, names: Names<'_>) -> Result<Self, TemplateError> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let placeholder = rest[at..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let (name, after) = placeholder.ok_or(TemplateError::Braces)?;
            let part = match name {
                "date" => Some(Part::Date),
                "time" => Some(Part::Time),
                "host" | "job" => {
                    literal.push_str(if name == "host" { names.host } else { names.job });
                    None
                }
                _ if name.contains('{') => return Err(TemplateError::Braces),
                _ => return Err(TemplateError::Unknown(name.to_owned())),
            };
            if let Some(part) = part {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
                parts.push(part);
            }
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal.into()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        let template = Self { parts };
        let name = template.name(Civil::at(0, 0));
        match check_name(name.as_bytes()) {
            Ok(()) => Ok(template),
            Err(error) => Err(TemplateError::Name(name, error)),
        }
    }

    /// Whether a text has anything that only a template has.
    pub fn is_one(text: &str) -> bool {
        text.contains(['{', '}'])
    }

    /// Whether its names tell the day: without it nothing tells how old an archive is.
    pub fn has_date(&self) -> bool {
        self.parts.contains(&Part::Date)
    }

    /// Whether a name can be one of this template and one of the other: of two such in one folder, one may replace the
    /// other's archives, or take them for old ones of its own. Upper and lower case count as one, as they are to many
    /// servers.
    pub fn meets(&self, other: &Self) -> bool {
        let (mine, others) = (self.marks(), other.marks());
        let meet = |pair: (Mark, Mark)| match pair {
            (Mark::Digit, Mark::Digit) => true,
            (Mark::Digit, Mark::Byte(byte)) | (Mark::Byte(byte), Mark::Digit) => byte.is_ascii_digit(),
            (Mark::Byte(one), Mark::Byte(other)) => one.eq_ignore_ascii_case(&other),
        };
        mine.len() == others.len() && mine.into_iter().zip(others).all(meet)
    }

    /// What stands at each place of its names, which are all of one length.
    fn marks(&self) -> Vec<Mark> {
        let marks = |part: &Part| match part {
            Part::Text(text) => text.bytes().map(Mark::Byte).collect(),
            Part::Date => {
                "0000-00-00".bytes().map(|b| if b == b'0' { Mark::Digit } else { Mark::Byte(b) }).collect()
            }
            Part::Time => vec![Mark::Digit; 6],
        };
        self.parts.iter().flat_map(|part| -> Vec<Mark> { marks(part) }).collect()
    }

    /// The name of an archive that is made now.
    pub fn name(&self, now: Civil) -> String {
        let ((year, month, day), (hour, minute, second)) = (now.date(), now.time());
        self.parts.iter().fold(String::new(), |name, part| match part {
            Part::Text(text) => name + text,
            Part::Date => name + &format!("{year:04}-{month:02}-{day:02}"),
            Part::Time => name + &format!("{hour:02}{minute:02}{second:02}"),
        })
    }

    /// When an archive of this name was made; none if it is not one of these names, from its first byte to its last.
    pub fn stamp(&self, name: &[u8]) -> Option<Stamp> {
        let (mut rest, mut date, mut time) = (name, None, None);
        for part in &self.parts {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_bytes())?,
                Part::Date => {
                    let (digits, after) = rest.split_at_checked(10)?;
                    let seen = (number(&digits[..4])?, number(&digits[5..7])?, number(&digits[8..])?);
                    (rest, date) = (after, Some(same(date, seen)?));
                    (digits[4] == b'-' && digits[7] == b'-').then_some(())?;
                }
                Part::Time => {
                    let (digits, after) = rest.split_at_checked(6)?;
                    let seen = (number(&digits[..2])?, number(&digits[2..4])?, number(&digits[4..])?);
                    (rest, time) = (after, Some(same(time, seen)?));
                }
            }
        }
        let at = Civil::new(date?, time.unwrap_or((0, 0, 0)))?;
        let length = if time.is_some() { 1 } else { DAY };
        rest.is_empty().then_some(Stamp { at, length })
    }
}

/// As it was written, with what `{host}` and `{job}` stand for.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Date => f.write_str("{date}"),
            Part::Time => f.write_str("{time}"),
        })
    }
}

/// The value that a placeholder has, which is the same wherever it stands.
fn same<T: PartialEq>(known: Option<T>, seen: T) -> Option<T> {
    known.is_none_or(|known| known == seen).then_some(seen)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names { host: "nas", job: "nightly-db" };
    /// 2026-11-21 12:14:40
    const NOW: Civil = Civil::at(1_795_263_280, 0);

    fn template(text: &str) -> Template {
        Template::parse(text, NAMES).expect("a template")
    }

    #[test]
    fn names_are_written_and_recognised() {
        for (text, name) in [
            ("{date}.tgz", "2026-11-21.tgz"),
            ("{job}-{date}-{time}.tar.zst", "nightly-db-2026-11-21-121440.tar.zst"),
            ("{host}{date}{time}{date}.zip", "nas2026-11-211214402026-11-21.zip"),
        ] {
            let template = template(text);
            assert_eq!(template.name(NOW), name);
            let stamp = template.stamp(name.as_bytes()).expect("its own name");
            match text.contains("{time}") {
                true => assert_eq!((stamp.at, stamp.length), (NOW, 1)),
                false => assert_eq!((stamp.at.date(), stamp.length), (NOW.date(), DAY)),
            }
        }
    }

    #[test]
    fn nothing_else_is_recognised() {
        let dated = template("db-{date}-{time}.tgz");
        for name in [
            &b"db-2026-11-21-121440.tgz.part"[..],
            b"db-2026-11-21-121440.tg",
            b"xdb-2026-11-21-121440.tgz",
            b"db-2026-11-21-12144.tgz",
            b"db-2026-11-21-1214400.tgz",
            b"db-2026-11-31-121440.tgz",
            b"db-2026-11-21-241440.tgz",
            b"db-2026_11_21-121440.tgz",
            b"db-2026-11-2\xff-121440.tgz",
            b"DB-2026-11-21-121440.tgz",
            b"db-+026-11-21-121440.tgz",
            b"",
        ] {
            assert_eq!(dated.stamp(name), None, "{}", String::from_utf8_lossy(name));
        }
        assert_eq!(template("{date}{date}.zip").stamp(b"2026-11-212026-11-22.zip"), None, "two days");
        assert_eq!(template("{time}.zip").stamp(b"121440.zip"), None, "of which day nobody knows");
        assert_eq!(template("all.zip").stamp(b"all.zip"), None);
    }

    #[test]
    fn templates_meet_where_a_name_may_be_of_both() {
        for (one, other, meets) in [
            ("{date}.tgz", "{date}.tgz", true),
            ("{job}-{date}.tgz", "nightly-db-{date}.tgz", true),
            ("{job}-{date}.tgz", "{host}-{date}.tgz", false),
            ("a-{date}.tgz", "b-{date}.tgz", false),
            ("a-{date}.tgz", "a-2026-01-01.tgz", true),
            ("a-{date}.tgz", "a-2026-01-0x.tgz", false),
            ("{date}{time}.tgz", "{date}123456.tgz", true),
            ("{date}-{time}.tgz", "{date}.tgz", false),
            ("{date}.tgz", "{date}.tar", false),
            ("all.zip", "all.zip", true),
            ("DB-{date}.zip", "db-{date}.zip", true),
        ] {
            let (one, other) = (template(one), template(other));
            assert_eq!((one.meets(&other), other.meets(&one)), (meets, meets), "{one} and {other}");
        }
    }

    #[test]
    fn wrong_ones_are_told() {
        let wrong = |text| Template::parse(text, NAMES).expect_err("no template");
        assert_eq!(wrong("{dat}.tgz"), TemplateError::Unknown("dat".into()));
        for text in ["{date.tgz", "date}.tgz", "{{date}}.tgz", "}{"] {
            assert_eq!(wrong(text), TemplateError::Braces, "{text}");
        }
        assert!(matches!(wrong("a/{date}.tgz"), TemplateError::Name(..)));
        let job = Names { job: "a/b", ..NAMES };
        assert!(matches!(Template::parse("{job}.tgz", job), Err(TemplateError::Name(..))));
        assert!(matches!(wrong(""), TemplateError::Name(..)));
    }
}
