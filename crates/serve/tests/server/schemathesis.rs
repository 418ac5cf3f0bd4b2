//! The interface is as it is described: schemathesis makes requests from the description and judges the answers.

use std::fs;
use std::process::Command;

use sitta_serve::Scope;
use sitta_testbed::need;

use crate::support::Served;

async fn no_finding(served: &Served, login: &[&str], writes: bool) {
    fs::create_dir(served.shared().join("d")).unwrap();
    fs::write(served.shared().join("d/f"), "content").unwrap();
    let mut command = Command::new(need("schemathesis"));
    command.args(["--config-file", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/schemathesis.toml"), "run"]);
    command.arg(format!("https://localhost:{}/api/v1/openapi.json", served.address.port()));
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "8"]);
    command.args(["--generation-deterministic", "--continue-on-failure", "--no-color", "--request-timeout", "20"]);
    command.arg("--tls-verify").arg(served.tls("certificate.pem"));
    command.args(login).current_dir(served.dir.path());
    command.env("NO_PROXY", "localhost").env_remove("SSL_CERT_FILE");
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Tested: 22"), "{told}");
    // It came in, and did something.
    assert_eq!(served.names("").len() > 1, writes, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_as_it_is_described() {
    no_finding(&Served::start().await, &[], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_as_it_is_described_to_whoever_logs_in() {
    let users = |accounts: &sitta_serve::Accounts| accounts.set_user("ann", "right", &Scope::ALL).unwrap();
    no_finding(&Served::start_with(users).await, &["--auth", "ann:right"], true).await;
}

/// Nothing can be written, and most is refused.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_as_they_are_described() {
    let scope = Scope { shares: None, write: false };
    let users = |accounts: &sitta_serve::Accounts| accounts.set_user("bob", "right", &scope).unwrap();
    no_finding(&Served::start_with(users).await, &["--auth", "bob:right"], false).await;
}
