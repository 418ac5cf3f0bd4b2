//! WebDAV on an object store, which has no directories of its own and moves none.

use std::sync::Arc;

use sitta_store::{Access, Location, Password, Store, s3};
use sitta_testbed::s3::{KEY_ID, S3Server, SECRET};

use crate::support::Served;
use crate::support::dav::{ask, status, text, url};

async fn bucket(server: &S3Server) -> Arc<dyn Store> {
    server.create_bucket("bucket");
    let mut access = Access::default();
    access.s3.endpoint = Some(server.endpoint());
    access.s3.key_id = Some(KEY_ID.into());
    access.s3.secret = Some(Password::new(SECRET));
    let Ok(Location::Remote(remote)) = Location::parse("s3://bucket/p") else { panic!("a location") };
    s3::open(&remote, &access).await.expect("opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_drive_too() {
    let server = S3Server::moto();
    let store = bucket(&server).await;
    let served = Served::start_sharing(|_| {}, |_| Some((store, true))).await;
    let client = served.client();
    let request = |method: &str, path: &str| ask(&client, &served, method, path);
    let to = |method: &str, from: &str, to: &str| request(method, from).header("destination", url(&served, to));
    let get = async |path: &str| {
        let (status, said) = text(request("GET", path)).await;
        (status == 200).then_some(said)
    };
    assert_eq!(status(request("MKCOL", "d")).await, 201);
    let put = request("PUT", "d/e/f").header("x-oc-mtime", "1500000000").body("of d").send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.headers()["x-oc-mtime"].to_str().unwrap()), (201, "accepted"));
    assert_eq!(status(request("PUT", "n/f").body("of n")).await, 201);
    // A listing tells of a file what the file tells of itself.
    let (_, listed) = text(request("PROPFIND", "d/e").header("depth", "1")).await;
    assert!(listed.contains("<D:getlastmodified>Fri, 14 Jul 2017 02:40:00 GMT</D:getlastmodified>"), "{listed}");
    let tag =
        request("HEAD", "d/e/f").send().await.unwrap().headers()["etag"].to_str().unwrap().replace('"', "&quot;");
    assert!(listed.contains(&format!("<D:getetag>{tag}</D:getetag>")), "{tag} {listed}");
    assert_eq!(status(to("COPY", "d", "copy")).await, 201);
    assert_eq!((get("d/e/f").await, get("copy/e/f").await), (Some("of d".into()), Some("of d".into())));
    assert_eq!(status(to("COPY", "n", "copy").header("overwrite", "F")).await, 412);
    assert_eq!(status(to("COPY", "n", "copy")).await, 204, "in place of what was there");
    assert_eq!((get("copy/e/f").await, get("copy/f").await), (None, Some("of n".into())));
    assert_eq!(status(to("MOVE", "d", "copy")).await, 204);
    assert_eq!((get("d/e/f").await, get("copy/f").await, get("copy/e/f").await), (None, None, Some("of d".into())));
    assert_eq!(status(to("MOVE", "copy/e/f", "n/f")).await, 204, "a file over another");
    assert_eq!(get("n/f").await, Some("of d".into()));
    assert_eq!(status(request("DELETE", "n")).await, 204);
    let (_, listed) = text(request("PROPFIND", "").header("depth", "1")).await;
    assert_eq!(listed.matches("<D:response>").count(), 1, "nothing is left: {listed}");
}
