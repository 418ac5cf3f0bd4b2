//! Refusals: those that every interface gives, and those that WebDAV has names for (RFC 4918, 16).

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::api::problem::{Kind, Trouble};

/// What XML answers are.
pub(super) const XML: &str = "application/xml; charset=utf-8";

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Refused {
    Trouble(Trouble),
    /// A condition of WebDAV's own, and the URLs' paths that it is about.
    Condition {
        status: StatusCode,
        condition: &'static str,
        about: Vec<String>,
    },
}

impl Refused {
    pub fn new(status: StatusCode, kind: &str, what: &str) -> Self {
        Self::Trouble(Trouble::new(status, kind, what))
    }

    /// Something else is locked.
    pub fn locked(condition: &'static str, about: Vec<String>) -> Self {
        Self::Condition { status: StatusCode::LOCKED, condition, about }
    }

    /// A body that makes no sense.
    pub fn odd(what: impl std::fmt::Display) -> Self {
        Self::Trouble(Trouble::odd(what))
    }
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<sitta_store::Error> for Refused {
    fn from(error: sitta_store::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, condition, about) = match self {
            Self::Trouble(trouble) => return trouble.into_response(),
            Self::Condition { status, condition, about } => (status, condition, about),
        };
        let hrefs: String = about.iter().map(|path| format!("<D:href>{path}</D:href>")).collect();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:{condition}>{hrefs}</D:{condition}>\
             </D:error>\n"
        );
        let mut response = (status, [(CONTENT_TYPE, XML)], body).into_response();
        response.extensions_mut().insert(Kind(condition.replace('-', "_")));
        response
    }
}
