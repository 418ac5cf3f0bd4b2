//! What went wrong, as `application/problem+json` (RFC 9457).

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sitta_store::sitta::wire::Refusal;
use sitta_store::{Error, ErrorKind};
use sitta_tree::Printable;

/// What sort of trouble an answer tells of, for whoever passes it on.
#[derive(Debug, Clone)]
pub(crate) struct Kind(pub String);

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Trouble {
    refusal: Box<Refusal>,
    status: StatusCode,
    retry_after: Option<u64>,
    parameter: Option<Box<Parameter>>,
}

/// Which part of the request it was, what it said, and what would have been right.
#[derive(Debug, Serialize)]
struct Parameter {
    parameter: String,
    value: String,
    expected: String,
}

/// As it is sent.
#[derive(Serialize)]
struct Body<'t> {
    #[serde(flatten)]
    refusal: &'t Refusal,
    #[serde(flatten)]
    parameter: Option<&'t Parameter>,
}

impl Trouble {
    pub fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        let refusal = Refusal {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            path: None,
        };
        Self { refusal: Box::new(refusal), status, retry_after: None, parameter: None }
    }

    /// A parameter or header that cannot be understood, and what would be right.
    pub fn parameter(name: &str, value: &[u8], expected: &str) -> Self {
        let value = Printable(value).to_string();
        let mut trouble =
            Self::new(StatusCode::BAD_REQUEST, "parameter", &format!("'{name}' is not understood: {expected}"));
        trouble.parameter =
            Some(Box::new(Parameter { parameter: name.to_owned(), value, expected: expected.to_owned() }));
        trouble
    }

    /// What was sent makes no sense.
    pub fn odd(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "odd", &what.to_string())
    }

    /// Whether something is another version than was meant.
    pub fn is_change(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

    /// What sort of trouble it is.
    pub fn kind(&self) -> &str {
        &self.refusal.kind
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Not before so many seconds.
    pub fn later(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let status = status(error.kind);
        let refusal = Refusal { status: status.as_u16(), ..Refusal::from(&error) };
        Self { refusal: Box::new(refusal), status, retry_after: None, parameter: None }
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Denied | ErrorKind::ReadOnly => StatusCode::FORBIDDEN,
        ErrorKind::Changed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::NotEmpty => StatusCode::CONFLICT,
        ErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Busy => StatusCode::LOCKED,
        ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        // The share's own server does not let us in, or is not who it should be: nothing of the client's.
        ErrorKind::Auth | ErrorKind::Untrusted => StatusCode::BAD_GATEWAY,
        ErrorKind::Unreachable | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = Body { refusal: &self.refusal, parameter: self.parameter.as_deref() };
        let body = serde_json::to_vec(&body).expect("plain data");
        let mut response = (self.status, body).into_response();
        response.extensions_mut().insert(Kind(self.refusal.kind.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"sitta\", charset=\"UTF-8\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
