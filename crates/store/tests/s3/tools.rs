//! What the tests are made of.

use std::sync::Arc;

use sitta_store::{Access, Location, Password, Result, Store, s3};
use sitta_testbed::s3::{KEY_ID, S3Server, SECRET};

/// What it takes to get into the server.
pub fn access(server: &S3Server) -> Access {
    let mut access = Access::default();
    access.s3.endpoint = Some(server.endpoint());
    access.s3.key_id = Some(KEY_ID.into());
    access.s3.secret = Some(Password::new(SECRET));
    if let Some(certificate) = server.certificate() {
        access.web.ca = std::fs::read(&certificate.certificate).expect("a certificate");
    }
    access
}

/// The store, without the retries that `open` puts round it.
pub async fn connect(url: &str, access: &Access) -> Result<Arc<dyn Store>> {
    match Location::parse(url).expect("a location") {
        Location::Remote(remote) => s3::open(&remote, access).await,
        other => panic!("{other} is no server"),
    }
}
