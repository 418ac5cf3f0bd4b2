//! Shares whose symbolic links are followed, and those whose are not.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use sitta_serve::IndexEvent;
use sitta_store::local::{Links, LocalStore};

use crate::support::Served;
use crate::support::indexed::Indexed;

async fn served(links: Links) -> Served {
    let open = |dir| -> Arc<dyn sitta_store::Store> { Arc::new(LocalStore::open_with(dir, links).unwrap()) };
    let served = Served::start_sharing(|_| {}, |dir| Some((open(dir), true))).await;
    let outside = served.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "a word of its own").unwrap();
    fs::write(served.shared().join("plain"), "nothing").unwrap();
    symlink("../outside", served.shared().join("way")).unwrap();
    symlink("nowhere", served.shared().join("dangling")).unwrap();
    symlink(".", served.shared().join("round")).unwrap();
    served
}

async fn get(served: &Served, what: &str) -> (u16, String) {
    let answer = served.client().get(served.url(what)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_out_of_a_share_that_does_not_ask_for_it() {
    let served = served(Links::Kept).await;
    for what in ["files/way/secret", "files/way", "entries/way/", "files/round/plain"] {
        let (status, text) = get(&served, what).await;
        assert!((400..500).contains(&status) && !text.contains("word of its own"), "{what}: {status} {text}");
    }
    let (_, listed) = get(&served, "entries/?recursive=true").await;
    assert!(!listed.contains("secret") && listed.matches("symlink").count() == 3, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_asks_for_it_shows_what_links_lead_to() {
    let served = served(Links::Followed).await;
    assert_eq!(get(&served, "files/way/secret").await, (200, "a word of its own".into()));
    let (status, listed) = get(&served, "entries/?recursive=true").await;
    assert!(status == 200 && listed.contains("way/secret") && listed.matches("symlink").count() == 2, "{listed}");
    assert!(served.open("").await.watch().await.unwrap().is_none(), "it says that it cannot tell of changes");
    // What lies behind is not written, and the link itself is all that can be removed.
    let client = served.client();
    let put = client.put(served.url("files/way/secret")).body("other").send().await.unwrap();
    assert!(put.status().is_client_error(), "{put:?}");
    let put = client.put(served.url("files/way/new")).body("other").send().await.unwrap();
    assert!(put.status().is_client_error(), "{put:?}");
    let dav = format!("https://{}/dav/files/way/", served.address);
    let gone = client.delete(dav).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 204, "{}", gone.text().await.unwrap());
    assert_eq!(served.names(""), ["dangling", "plain", "round"]);
    assert_eq!(served.names("../outside"), ["secret"]);
}

/// What lies behind a link changes without a word; so such a share is searched by reading, and exactly.
#[tokio::test(flavor = "multi_thread")]
async fn searches_behind_links_are_exact() {
    let served = served(Links::Followed).await;
    let (sender, mut notices) = tokio::sync::mpsc::unbounded_channel();
    let mut indexed =
        Indexed { client: served.client(), served, notices: tokio::sync::mpsc::unbounded_channel().1 };
    indexed.served.stop().await;
    let options = sitta_serve::IndexOptions::new(indexed.served.dir.path().join("index"), sender);
    indexed.served.index = Some(options);
    indexed.start_again().await;
    let secret = indexed.served.dir.path().join("outside/secret");
    assert_eq!(indexed.contains("a word of its own").await, ["way/secret"]);
    for n in 0..20 {
        fs::write(&secret, format!("now number {n} and more")).unwrap();
        assert_eq!(indexed.contains(&format!("number {n} and")).await, ["way/secret"]);
        assert_eq!(indexed.contains("a word of its own").await, [] as [&str; 0]);
    }
    let told = notices.try_recv().map(|notice| notice.what);
    assert!(!matches!(told, Ok(IndexEvent::Ready { .. })), "{told:?}");
}
