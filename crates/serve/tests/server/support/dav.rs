//! What the tests of WebDAV share.

use reqwest::{Client, Method, RequestBuilder};
use sitta_serve::{Accounts, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Served;

pub fn users(accounts: &Accounts) {
    accounts.set_user("ann", "right", &Scope::ALL).unwrap();
    accounts.set_user("dan", "right", &Scope::ALL).unwrap();
    accounts.set_user("bob", "right", &Scope { shares: None, write: false }).unwrap();
    accounts.set_user("eve", "right", &Scope { shares: Some(vec!["other".into()]), write: true }).unwrap();
}

pub fn url(served: &Served, path: &str) -> String {
    format!("https://localhost:{}/dav/files/{path}", served.address.port())
}

/// A request of any method, to exactly this path.
pub fn ask(client: &Client, served: &Served, method: &str, path: &str) -> RequestBuilder {
    client.request(Method::from_bytes(method.as_bytes()).unwrap(), url(served, path))
}

pub async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

pub async fn text(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What the server says to a request of any kind.
pub async fn raw(served: &Served, request: &str) -> String {
    let (mut read, mut write) = tokio::io::split(served.connect().await);
    write.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = read.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
