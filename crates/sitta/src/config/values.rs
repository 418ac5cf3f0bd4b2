//! Single values of the config, checked as they are read.

use std::borrow::Cow;
use std::ffi::OsStr;

use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sitta_jobs::notify::{MailServer, check_address};
use sitta_store::{Location, Password};

use crate::args::parse_keep;
use crate::commands::moving::trash;
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
    /// A number of bytes: `1GiB`.
    Size,
    |text| parse_size(text).map(drop)
);

impl Size {
    /// How many.
    pub fn bytes(&self) -> u64 {
        parse_size(&self.0).expect("it was checked when it was read")
    }
}

checked!(
    /// When a job runs.
    Schedule,
    |text| sitta_jobs::Schedule::parse(text, TimeZone::UTC).map(drop)
);

checked!(
    /// A time zone: `Europe/Berlin`.
    Zone,
    |text| TimeZone::get(text)
        .map(drop)
        .map_err(|_| format!("'{text}' is no time zone that this machine knows; write for example Europe/Berlin"))
);

impl Zone {
    /// The zone.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.0).unwrap_or(TimeZone::UTC)
    }
}

checked!(
    /// A mail address.
    Address,
    check_address
);

checked!(
    /// A mail server: `smtps://user@smtp.example.org`.
    Smtp,
    |text| MailServer::parse(text).map(drop)
);

impl Smtp {
    /// The server.
    pub fn server(&self) -> MailServer {
        MailServer::parse(&self.0).expect("it was checked when it was read")
    }
}

checked!(
    /// `on`, `off`, or a folder at the destination.
    TrashDir,
    |text| trash(OsStr::new(text)).map(drop).map_err(|failure| failure.what)
);

checked!(
    /// How long a trash keeps old versions: `30d`, `forever`.
    TrashTime,
    |text| parse_keep(text).map(drop)
);

/// A path, URL or `NAME:path`. Prints and serialises without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub location: Location,
    /// With its password, if one stands there.
    pub written: Password,
}

impl Place {
    /// As it is written, without a password.
    pub fn text(&self) -> String {
        match &self.location {
            Location::Local(path) => path.to_string_lossy().into_owned(),
            location => location.to_string(),
        }
    }

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
        Ok(Self { location, written: Password::new(text) })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
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

/// One place or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(pub Vec<Place>);

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Places;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a place, or a list of places")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Places, E> {
                Place::deserialize(serde::de::value::StrDeserializer::new(text)).map(|place| Places(vec![place]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Places, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(Places)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Serialize for Places {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(to),
            several => several.serialize(to),
        }
    }
}

impl JsonSchema for Places {
    fn schema_name() -> Cow<'static, str> {
        "Places".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let place = generator.subschema_for::<Place>();
        json_schema!({"anyOf": [place, {"type": "array", "items": place, "minItems": 1}]})
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
