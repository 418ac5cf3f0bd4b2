//! Mail by SMTP (RFC 5321): TLS from the beginning (RFC 8314) or by STARTTLS (RFC 3207), with a login where one is needed.

use std::fmt;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use reqwest::Url;
use sitta_store::Password;
use sitta_store::web::{WebOptions, cause};

use super::{Message, Unsent};

/// A log that is larger is sent without its middle; servers refuse mails of more than some 10 to 25 MiB.
const LARGE: usize = 2 << 20;

/// How the way to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte: `smtps://`, port 465.
    Tls,
    /// The server is asked for TLS before anything else is said, and must give it: `smtp://`, port 587.
    StartTls,
    /// None at all: `smtp+plain://`, port 25. No password goes that way.
    Plain,
}

/// A mail server, as the config names it: `smtps://user@smtp.example.org:465`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// How the way there is kept private.
    pub security: Security,
    /// Its name, which its certificate must be for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: Option<String>,
}

impl MailServer {
    /// Understands a URL. What is wrong is said without it: somebody may have written a password there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a mail server is written smtps://user@host (TLS), smtp://user@host (STARTTLS) or smtp+plain://host"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" => (Security::StartTls, 587),
            "smtp+plain" => (Security::Plain, 25),
            _ => return Err(wrong()),
        };
        if url.password().is_some() {
            return Err("the password does not belong into the URL: write password = { env = \"NAME\" }".to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong());
        }
        let user = match url.username() {
            "" => None,
            user => Some(unescape(user).ok_or_else(wrong)?),
        };
        if security == Security::Plain && user.is_some() {
            return Err("no login goes over smtp+plain://, where everybody may listen: write smtps:// or smtp://"
                .to_owned());
        }
        Ok(Self { security, host, port: url.port().unwrap_or(port), user })
    }
}

/// `%40` and its like; a user may be a mail address.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'%', [a, b, tail @ ..]) => {
                let digit = |d: &u8| char::from(*d).to_digit(16);
                bytes.push(u8::try_from(digit(a)? * 16 + digit(b)?).ok()?);
                tail
            }
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mail server {}:{}", self.host, self.port)
    }
}

/// Whether a text is a mail address: `ops@example.org`, `Ops <ops@example.org>`.
pub fn check_address(text: &str) -> Result<(), String> {
    text.parse::<Mailbox>().map(drop).map_err(|error| format!("'{text}' is no mail address: {error}"))
}

/// Whom a mail is for, and how it gets there.
#[derive(Debug)]
pub struct Mail {
    /// By which server.
    pub server: MailServer,
    /// The password of its user.
    pub password: Option<Password>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// What this machine calls itself.
    pub host: String,
}

impl Mail {
    pub(super) async fn send(&self, message: &Message, options: &WebOptions) -> Result<(), Unsent> {
        let mail = self.compose(message)?;
        let transport = self.transport(options)?;
        transport.send(mail).await.map(drop).map_err(|error| self.unsent(&error))
    }

    fn compose(&self, message: &Message) -> Result<lettre::Message, Unsent> {
        let unfit = |why: String| Unsent::new("the mail could not be written", why);
        let mailbox = |text: &String| text.parse::<Mailbox>().map_err(|error| unfit(format!("'{text}': {error}")));
        let mut builder = lettre::Message::builder().from(mailbox(&self.from)?).subject(message.subject.clone());
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        let builder = builder
            .message_id(None)
            // Answering machines leave such mails alone: RFC 3834.
            .raw_header(lettre::message::header::HeaderValue::new(
                lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        let body = MultiPart::alternative_plain_html(message.text.clone(), message.html.clone());
        let mail = match &message.log {
            Some(file) => {
                let log = match std::fs::read(file) {
                    Ok(bytes) => shorten(bytes),
                    Err(error) => format!("{} could not be read: {error}\n", file.display()).into_bytes(),
                };
                let name =
                    file.file_name().map_or_else(|| "run.log".into(), |name| name.to_string_lossy().into_owned());
                let log = Attachment::new(name).body(log, ContentType::TEXT_PLAIN);
                builder.multipart(MultiPart::mixed().multipart(body).singlepart(log))
            }
            None => builder.multipart(body),
        };
        mail.map_err(|error| unfit(error.to_string()))
    }

    fn transport(&self, options: &WebOptions) -> Result<AsyncSmtpTransport<Tokio1Executor>, Unsent> {
        let unfit = |error: lettre::transport::smtp::Error| Unsent::new("TLS cannot be set up", error.to_string());
        let tls = || {
            let mut tls = TlsParameters::builder(self.server.host.clone());
            if !options.ca.iter().all(u8::is_ascii_whitespace) {
                tls = tls.add_root_certificate(Certificate::from_pem(&options.ca).map_err(unfit)?);
            }
            tls.build_rustls().map_err(unfit)
        };
        let tls = match self.server.security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::StartTls => Tls::Required(tls()?),
            Security::Plain => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server.host)
            .port(self.server.port)
            .tls(tls)
            .timeout(Some(options.timeout.max(Duration::from_secs(1))))
            .hello_name(ClientId::Domain(self.host.clone()));
        if let (Some(user), Some(password)) = (&self.server.user, &self.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }

    /// What went wrong, in the server's own words where it said any.
    fn unsent(&self, error: &lettre::transport::smtp::Error) -> Unsent {
        let server = &self.server;
        let user = server.user.as_deref().unwrap_or_default();
        let cause = cause(error);
        let why = match (error.status(), &cause.message) {
            // A server may repeat what it was told.
            (Some(code), said) => format!("{code} {}", self.hide(said)),
            (None, said) => self.hide(said),
        };
        if cause.untrusted {
            return Unsent::new(format!("the certificate of {server} is not trusted"), why)
                .hint("make sure that it is the right server; then trust its certificate with ca = \"FILE\" or SSL_CERT_FILE");
        }
        let code = error.status().map(u16::from);
        match code {
            Some(530 | 534 | 535 | 538) => Unsent::new(format!("{server} refused the login of '{user}'"), why)
                .hint("check the user in smtp, and the password; `sitta config check` says where it comes from"),
            Some(550..=559) => Unsent::new(format!("{server} did not take the mail"), why)
                .hint("check the addresses in from and to, and whether the server wants a login"),
            Some(_) => Unsent::new(format!("{server} did not take the mail"), why),
            None if error.is_tls() => Unsent::new(format!("TLS with {server} failed"), why)
                .hint("smtps:// is TLS from the beginning (port 465), smtp:// is STARTTLS (port 587)"),
            None if error.is_timeout() => Unsent::new(format!("{server} has not answered"), why)
                .hint("smtps:// is TLS from the beginning (port 465), smtp:// is STARTTLS (port 587)"),
            None if error.is_client() => Unsent::new(format!("{server} cannot do what is needed"), why)
                .hint("smtps:// is TLS from the beginning (port 465), smtp:// is STARTTLS (port 587)"),
            None => Unsent::new(format!("{server} could not be reached"), why)
                .hint("check the connection, the server's name and the port"),
        }
    }

    fn hide(&self, text: &str) -> String {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match &self.password {
            Some(password) if !password.expose().is_empty() => text.replace(password.expose(), "(hidden)"),
            _ => text,
        }
    }
}

/// A long log without its middle.
fn shorten(log: Vec<u8>) -> Vec<u8> {
    if log.len() <= LARGE {
        return log;
    }
    let half = LARGE / 2;
    let cut = |at: usize| log[at..].iter().position(|byte| *byte == b'\n').map_or(at, |n| at + n + 1);
    let (head, tail) = (cut(half).min(half + 4096), cut(log.len() - half));
    let gone = format!("\n… {} bytes are left out here; the whole log is on the machine …\n\n", tail - head);
    [&log[..head], gone.as_bytes(), &log[tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_understood() {
        let server = MailServer::parse("smtps://ops%40example.org@smtp.example.org").expect("a server");
        assert_eq!(
            (server.security, server.port, server.user.as_deref()),
            (Security::Tls, 465, Some("ops@example.org"))
        );
        let server = MailServer::parse("smtp://smtp.example.org:2525").expect("a server");
        assert_eq!((server.security, server.port, server.user), (Security::StartTls, 2525, None));
        assert_eq!(MailServer::parse("smtp+plain://localhost").map(|server| server.port), Ok(25));
        for text in
            ["smtp.example.org", "https://x", "smtps://", "smtps://me:hush@x", "smtp+plain://me@x", "smtps://x/y"]
        {
            let wrong = MailServer::parse(text).expect_err(text);
            assert!(!wrong.contains("hush"), "{wrong}");
        }
    }

    #[test]
    fn long_logs_lose_their_middle_only() {
        let log: Vec<u8> = (0..400_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let text = String::from_utf8(shorten(log.clone())).expect("text");
        assert!(text.len() < LARGE + 8192 && text.starts_with("line 0\n") && text.ends_with("line 399999\n"));
        assert!(text.contains("bytes are left out here"));
        assert_eq!(shorten(b"short\n".to_vec()), b"short\n");
    }
}
