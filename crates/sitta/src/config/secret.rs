//! Where a password comes from. The text itself is never shown.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::context::variable;

/// Where a password comes from.
#[derive(Clone)]
pub enum Secret {
    /// It stands in the config: read there again when it is needed, not kept.
    Plain,
    /// `{ env = "NAME" }`
    Env(String),
    /// `{ file = "PATH" }`: the file's first line.
    File(PathBuf),
    /// `{ command = ["program", "argument"] }`: the first line that it prints.
    Command(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    env: Option<String>,
    file: Option<PathBuf>,
    command: Option<Vec<String>>,
    keyring: Option<String>,
}

impl Table {
    fn secret(self) -> Result<Secret, &'static str> {
        match (self.env, self.file, self.command, self.keyring) {
            (.., Some(_)) => Err("keyrings are not supported by this version; use env, file or command"),
            (Some(name), None, None, _) if !name.is_empty() => Ok(Secret::Env(name)),
            (None, Some(file), None, _) => Ok(Secret::File(file)),
            (None, None, Some(command), _) if !command.is_empty() => Ok(Secret::Command(command)),
            _ => Err("a password comes from exactly one of env, file and command"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table with one of env, file and command")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
                Ok(Secret::Plain)
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
            Self::Plain => to.serialize_str("(hidden)"),
            Self::Env(name) => json!({"env": name}).serialize(to),
            Self::File(file) => json!({"file": file.display().to_string()}).serialize(to),
            Self::Command(command) => json!({"command": command}).serialize(to),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source())
    }
}

impl Secret {
    /// Where it comes from, and whether it is there, as far as can be told without taking it.
    pub fn source(&self) -> String {
        match self {
            Self::Plain => "password in the config".into(),
            Self::Env(name) => match variable(name) {
                Some(value) if !value.is_empty() => format!("password from {name}, which is set"),
                _ => format!("password from {name}, which is not set here"),
            },
            Self::File(file) => match std::fs::metadata(file) {
                Ok(_) => format!("password from {}", file.display()),
                Err(error) => format!("password from {}, which cannot be read: {error}", file.display()),
            },
            Self::Command(command) => format!("password from the command {}", command[0]),
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
        ]})
    }
}
