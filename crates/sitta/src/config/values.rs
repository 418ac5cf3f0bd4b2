//! Single values of the config, checked as they are read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sitta_store::Location;

use crate::render::units::{parse_duration, parse_size};

/// A text that was checked.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct $name(pub String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                let check: fn(&str) -> Result<(), String> = $check;
                check(&text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string"})
            }
        }
    };
}

checked!(
    /// A length of time: `30m`, `24h`, `30d`.
    Length,
    |text| parse_duration(text).map(drop)
);

checked!(
    /// How long a server may take: `30s`.
    Timeout,
    |text| match parse_duration(text)? {
        time if time.is_zero() => Err("in no time at all nothing can be answered".into()),
        _ => Ok(()),
    }
);

checked!(
    /// A server's address: `https://s3.example.org`.
    Endpoint,
    |text| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match host {
            Some(host) if !host.trim_matches('/').is_empty() && !host.contains('@') => Ok(()),
            _ => Err("an endpoint is a server's address, for example https://s3.example.org".into()),
        }
    }
);

checked!(
    /// Bytes a second: `10MiB`.
    Rate,
    |text| match parse_size(text)? {
        0 => Err("at a rate of 0 nothing ever arrives".into()),
        _ => Ok(()),
    }
);

checked!(
    /// When a job runs.
    Schedule,
    check_schedule
);

/// A path, URL or `NAME:path`. Prints and serialises without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub location: Location,
}

impl Place {
    /// Whether a password stands in it as plain text.
    pub fn has_password(&self) -> bool {
        fn inside(location: &Location) -> bool {
            match location {
                Location::Remote(remote) => remote.password.is_some(),
                Location::Inside { archive, .. } => inside(archive),
                Location::Local(_) | Location::Named { .. } => false,
            }
        }
        inside(&self.location)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let location = Location::parse(&text).map_err(serde::de::Error::custom)?;
        Ok(Self { location })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.location {
            Location::Local(path) => to.serialize_str(&path.to_string_lossy()),
            location => to.serialize_str(&location.to_string()),
        }
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A path, a URL, or NAME:path"})
    }
}

/// A text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

// By hand, so that a wrong value is told what is right; an untagged enum says nothing of that.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, or a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// A limit on deletes: `100`, `"30%"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Limit {
    Count(u64),
    Share(String),
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Limit;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a share such as \"30%\"")
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Limit, E> {
                u64::try_from(n).map(Limit::Count).map_err(|_| E::custom("a limit is not negative"))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Limit, E> {
                Ok(Limit::Count(n))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Limit, E> {
                let share = text.strip_suffix('%').and_then(|share| share.trim().parse::<u8>().ok());
                match share {
                    Some(0..=100) => Ok(Limit::Share(text.to_owned())),
                    _ => {
                        Err(E::custom(format!("'{text}' is no limit; write a number, or a share such as \"30%\"")))
                    }
                }
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"},
        ]})
    }
}

const NAMED: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@midnight"];

/// The five fields of cron and what each may be.
const FIELDS: [(&str, u32, u32); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7)];

fn check_schedule(text: &str) -> Result<(), String> {
    if text.starts_with('@') {
        let known = NAMED.contains(&text);
        return if known {
            Ok(())
        } else {
            Err(format!("'{text}' is no schedule; known are {}", NAMED.join(", ")))
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "'{text}' is no schedule; write five fields: minute, hour, day, month, weekday, for example \"0 3 * * *\""
        ));
    }
    for (field, (name, low, high)) in fields.iter().zip(FIELDS) {
        for item in field.split(',') {
            let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse::<u32>().ok().filter(|n| (low..=high).contains(n));
            let fits = range == "*" || matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to);
            let steps = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
            if !fits || !steps {
                return Err(format!(
                    "'{field}' is no {name}: write {low} to {high}, *, a-b, */n, or several with commas"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_checked() {
        for text in ["0 0 * * *", "*/15 8-18 1,15 * 1-5", "@daily"] {
            assert_eq!(check_schedule(text), Ok(()), "{text}");
        }
        for text in ["", "0 0 * *", "60 0 * * *", "0 0 0 * *", "*/0 * * * *", "5-1 * * * *", "@dayly", "a * * * *"]
        {
            assert!(check_schedule(text).is_err(), "{text}");
        }
    }
}
