//! `[serve]` and `[share.NAME]`: what `sitta serve` shares, and where it listens.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitta_store::Location;

use super::Misfit;
use super::values::Place;

/// How `sitta serve` listens, and how it shows who it is.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Listen at these addresses, for example ["0.0.0.0:7474"]; without it, at this machine only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<SocketAddr>,
    /// A file with the certificate to show, in PEM form; without it, the server makes its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The file with its private key, in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Serve {
    /// Whether nothing is said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// What does not go together.
    pub fn misfit(&self) -> Option<Misfit> {
        let misfit = |key, what: &str, hint: &str| Some(Misfit { key, what: what.into(), hint: hint.into() });
        match (&self.certificate, &self.key) {
            (Some(_), None) => {
                misfit("certificate", "'certificate' is of no use without 'key'", "add key = \"FILE\"")
            }
            (None, Some(_)) => {
                misfit("key", "'key' is of no use without 'certificate'", "add certificate = \"FILE\"")
            }
            _ => None,
        }
    }
}

/// What is shared under a name.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// What is shared: a folder, or any other place.
    pub location: Place,
    /// For reading only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Keep an index for searches, if it is a folder of this machine.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub index: bool,
    /// Show symbolic links in it as what they point to, wherever that is, if it is a folder of this machine; what lies behind
    /// them can be read only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow_links: bool,
}

impl Share {
    /// What does not go together.
    pub fn misfit(&self) -> Option<Misfit> {
        let far = matches!(self.location.location, Location::Remote(_) | Location::Inside { .. });
        (self.follow_links && far).then(|| Misfit {
            key: "follow_links",
            what: "'follow_links' is for folders of this machine".into(),
            hint: "leave it out".into(),
        })
    }
}

fn yes() -> bool {
    true
}

/// Whether a share can be called so: it is one part of a URL's path.
pub fn is_share_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}
