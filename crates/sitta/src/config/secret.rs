//! Where a password comes from. The text itself is never shown.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use sitta_store::Password;

use crate::context::{Context, variable};

/// Where a password comes from.
#[derive(Clone)]
pub enum Secret {
    /// It stands in the config.
    Plain(Password),
    /// `{ env = "NAME" }`
    Env(String),
    /// `{ file = "PATH" }`: the file's first line.
    File(String),
    /// `{ command = ["program", "argument"] }`: the first line that it prints.
    Command(Vec<String>),
    /// `{ keyring = "service/user" }`: what the desktop's keyring holds for them.
    Keyring {
        /// Before the last slash.
        service: String,
        /// Behind it.
        user: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    env: Option<String>,
    file: Option<String>,
    command: Option<Vec<String>>,
    keyring: Option<String>,
}

impl Table {
    fn secret(self) -> Result<Secret, &'static str> {
        let keyring = |name: String| {
            let (service, user) = name.rsplit_once('/').filter(|(s, u)| !s.is_empty() && !u.is_empty())?;
            Some(Secret::Keyring { service: service.into(), user: user.into() })
        };
        match (self.env, self.file, self.command, self.keyring) {
            (Some(name), None, None, None) if !name.is_empty() => Ok(Secret::Env(name)),
            (None, Some(file), None, None) if !file.is_empty() => Ok(Secret::File(file)),
            (None, None, Some(command), None) if command.first().is_some_and(|program| !program.is_empty()) => {
                Ok(Secret::Command(command))
            }
            (None, None, None, Some(name)) => keyring(name).ok_or("a keyring's entry is written service/user"),
            _ => Err("a password comes from exactly one of env, file, command and keyring"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Form;
        // A number that stands where a text should may be the password: what is said of it does not repeat it.
        const TEXT: &str = "a password is a text in quotes, or a table with one of env, file, command and keyring";
        impl<'de> Visitor<'de> for Form {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table with one of env, file, command and keyring")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::Plain(Password::new(text)))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom(TEXT))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
                Err(E::custom(TEXT))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
                Err(E::custom(TEXT))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map))?.secret().map_err(A::Error::custom)
            }
        }
        from.deserialize_any(Form)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => to.serialize_str("(hidden)"),
            Self::Env(name) => json!({"env": name}).serialize(to),
            Self::File(file) => json!({"file": file}).serialize(to),
            Self::Command(command) => json!({"command": command}).serialize(to),
            Self::Keyring { service, user } => json!({"keyring": format!("{service}/{user}")}).serialize(to),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl Secret {
    /// Where it comes from.
    pub fn place(&self) -> String {
        match self {
            Self::Plain(_) => "the config".into(),
            Self::Env(name) => name.clone(),
            Self::File(file) => file.clone(),
            Self::Command(command) => format!("the command {}", command[0]),
            Self::Keyring { service, user } => format!("the keyring's entry {service}/{user}"),
        }
    }

    /// Where it comes from, and whether it is there, as far as can be told without taking it.
    pub fn source(&self, context: &Context, key: &str) -> String {
        let key = key.replace('_', " ");
        let place = self.place();
        match self {
            Self::Plain(_) => format!("{key} in the config"),
            Self::Env(name) => match variable(name) {
                Some(value) if !value.is_empty() => format!("{key} from {place}, which is set"),
                _ => format!("{key} from {place}, which is not set here"),
            },
            Self::File(file) => match std::fs::metadata(context.file_of_config(file)) {
                Ok(_) => format!("{key} from {place}"),
                Err(error) => format!("{key} from {place}, which cannot be read: {error}"),
            },
            Self::Command(_) | Self::Keyring { .. } => format!("{key} from {place}"),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |key: &str, schema: serde_json::Value| {
            json!({
                "type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": false,
            })
        };
        let text = json!({"type": "string"});
        json_schema!({"anyOf": [
            text,
            one("env", text.clone()),
            one("file", text.clone()),
            one("command", json!({"type": "array", "items": text, "minItems": 1})),
            one("keyring", json!({"type": "string", "pattern": "^.+/[^/]+$"})),
        ]})
    }
}
