//! Webhooks and pings: one request each.

use reqwest::{RequestBuilder, Url};
use sitta_store::Password;
use sitta_store::web::{WebOptions, cause, client};

use super::{Kind, Message, Unsent};

/// A URL that takes what happened as JSON, by POST.
#[derive(Debug)]
pub struct Webhook {
    /// Where; whoever knows it may post there.
    pub url: Password,
    /// A bearer token, if one is asked for.
    pub token: Option<Password>,
}

/// A URL of a dead-man monitor, such as healthchecks.io: it raises an alarm when nobody asks for it in time.
#[derive(Debug)]
pub struct Ping {
    /// Asked for when a run has gone well; by POST, with a few lines of text.
    pub url: Password,
    /// Asked for when a run begins; without it, `url` with `/start` behind its path.
    pub start: Option<Password>,
    /// Asked for when a run has not gone well; without it, `url` with `/fail` behind its path.
    pub failure: Option<Password>,
}

/// Whether a text is a URL that can be asked for. What is wrong is said without the URL, which may be a secret.
pub fn check_url(text: &str) -> Result<(), String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err("a URL begins with https:// and a server's name".to_owned()),
    }
}

/// The part of a URL that may be shown: scheme, server and port.
pub fn server(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
        }
        Err(_) => "the URL".to_owned(),
    }
}

impl Webhook {
    pub(super) async fn send(&self, message: &Message, options: &WebOptions) -> Result<(), Unsent> {
        let url = self.url.expose();
        let body = message.json.to_string();
        let request = client(options)
            .map_err(|what| Unsent::new(server(url), what))?
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        ask(request, url).await
    }
}

impl Ping {
    pub(super) async fn send(&self, message: &Message, options: &WebOptions) -> Result<(), Unsent> {
        let own = self.url.expose();
        let url = match message.kind {
            Kind::Success => own.to_owned(),
            Kind::Start => self.start.as_ref().map_or_else(|| below(own, "start"), |url| url.expose().to_owned()),
            Kind::Failure | Kind::Alarm => {
                self.failure.as_ref().map_or_else(|| below(own, "fail"), |url| url.expose().to_owned())
            }
        };
        let client = client(options).map_err(|what| Unsent::new(server(&url), what))?;
        ask(client.post(&url).header("content-type", "text/plain; charset=utf-8").body(message.text.clone()), &url)
            .await
    }
}

/// The URL with one more part at the end of its path.
fn below(url: &str, name: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let path = format!("{}/{name}", url.path().trim_end_matches('/'));
            url.set_path(&path);
            url.to_string()
        }
        Err(_) => url.to_owned(),
    }
}

async fn ask(request: RequestBuilder, url: &str) -> Result<(), Unsent> {
    let server = server(url);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status();
            let unsent = Unsent::new(format!("{server} did not take it"), format!("it answered {status}"));
            Err(match status.as_u16() {
                301..=399 => unsent.hint("give the URL that it leads to; none is followed"),
                401 | 403 => unsent.hint("check the URL and the token"),
                404 | 410 => unsent.hint("check the URL's path"),
                _ => unsent,
            })
        }
        Err(error) => {
            let cause = cause(&error);
            let (what, hint) = match cause.untrusted {
                true => (
                    format!("the certificate of {server} is not trusted"),
                    "make sure that it is the right server; then trust its certificate with --ca FILE or SSL_CERT_FILE",
                ),
                false => (
                    format!("{server} could not be reached"),
                    "check the connection, the server's name and the port",
                ),
            };
            Err(Unsent::new(what, cause.message).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_of_a_url_is_shown() {
        assert_eq!(
            server("https://me:hush@hooks.example.org:8443/T00/secret?key=x"),
            "https://hooks.example.org:8443"
        );
        let wrong = check_url("hooks.example.org/secret").expect_err("no URL");
        assert!(!wrong.contains("secret"), "{wrong}");
        assert!(check_url("ftp://x/y").is_err() && check_url("https://hc-ping.com/uuid").is_ok());
    }

    #[test]
    fn monitors_are_told_below_their_url() {
        assert_eq!(below("https://hc-ping.com/uuid?create=1", "fail"), "https://hc-ping.com/uuid/fail?create=1");
        assert_eq!(below("http://127.0.0.1:1/x/", "start"), "http://127.0.0.1:1/x/start");
    }
}
