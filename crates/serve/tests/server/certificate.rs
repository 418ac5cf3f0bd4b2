//! Certificates of somebody else's making: trusted where an authority is, and replaced while the server runs.

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sitta_store::sitta::trust;
use sitta_store::web::WebOptions;
use sitta_store::{Access, ErrorKind};
use sitta_testbed::certificate::Certificate as Made;
use sitta_tree::RelPath;

use crate::support::Served;

/// What the first of a server's certificates is, as it shows it to a new client that trusts it.
async fn shown(served: &Served, trusted: &Path) -> String {
    let tls = served.connect_trusting(trusted, "h2").await;
    let chain = tls.get_ref().1.peer_certificates().expect("it shows one").to_vec();
    trust::fingerprint(&chain[0])
}

fn fingerprint(file: &Path) -> String {
    trust::fingerprint(&CertificateDer::from_pem_file(file).expect("a certificate"))
}

/// Trusts this certificate as that of an authority.
fn trusting(served: &Served, certificate: &Path) -> Access {
    let access = served.access();
    let web = WebOptions { ca: fs::read(certificate).expect("a certificate"), ..access.web };
    Access { web, ..access }
}

async fn works(served: &Served, access: &Access) -> sitta_store::Result<()> {
    let store = served.open_with("", access).await?;
    store.list(&RelPath::root()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_authority_notes_no_fingerprint() {
    let served = Served::with_certificate(|dir| drop(Made::make(dir))).await;
    let access = trusting(&served, &served.tls("certificate.pem"));
    works(&served, &access).await.expect("vouched for");
    assert!(!served.dir.path().join("known_servers").exists());
    // An authority that knows nothing of this server: then it is met for the first time, as without one.
    let other = tempfile::tempdir().unwrap();
    let access = trusting(&served, &Made::make(other.path()).certificate);
    works(&served, &access).await.expect("remembered");
    let known = fs::read_to_string(served.dir.path().join("known_servers")).unwrap();
    assert_eq!(known.trim(), format!("{} {}", served.address, served.fingerprint));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let served = Served::start().await;
    let certificate = served.certificate.clone().unwrap();
    let first = served.fingerprint.clone();
    let old = served.dir.path().join("old.pem");
    fs::copy(served.tls("certificate.pem"), &old).unwrap();
    assert_eq!(shown(&served, &old).await, first);
    assert!(!certificate.renew().unwrap(), "it is the same");
    works(&served, &served.access()).await.expect("remembered");
    let before = served.open("").await;

    // The key of another certificate, as in the moment between the two.
    let made = tempfile::tempdir().unwrap();
    let new = Made::make(made.path());
    fs::copy(&new.key, served.tls("key.pem")).unwrap();
    let error = certificate.renew().expect_err("they do not belong together").to_string();
    assert!(error.contains("certificate.pem"), "{error}");
    assert_eq!(shown(&served, &old).await, first);

    fs::copy(&new.certificate, served.tls("certificate.pem")).unwrap();
    assert!(certificate.renew().unwrap());
    let second = fingerprint(&new.certificate);
    assert_eq!(shown(&served, &new.certificate).await, second);
    assert_eq!(certificate.fingerprint(), second);
    assert_ne!(first, second);
    // Whoever is connected stays; whoever remembers the first one is told; whoever trusts the authority comes in.
    before.list(&RelPath::root()).await.expect("still connected");
    let refused = works(&served, &served.access()).await.expect_err("another one");
    assert_eq!(refused.kind, ErrorKind::Untrusted);
    works(&served, &trusting(&served, &new.certificate)).await.expect("vouched for");

    for (file, text) in [("certificate.pem", ""), ("key.pem", "no key"), ("certificate.pem", "-----BEGIN")] {
        fs::write(served.tls(file), text).unwrap();
        certificate.renew().expect_err(file);
        assert_eq!(shown(&served, &new.certificate).await, second);
    }
    fs::remove_file(served.tls("key.pem")).unwrap();
    certificate.renew().expect_err("it is gone");
    assert_eq!(shown(&served, &new.certificate).await, second);
}
