//! What a monitor is told, read by Prometheus' own parser.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use sitta_serve::{Accounts, Scope};
use sitta_testbed::need;

use crate::support::Served;

/// Every sample of an OpenMetrics text, `name{label="…"}` in alphabetical order of labels, as one JSON object.
const READ: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
samples = {}
for family in read(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))
        samples[f'{sample.name}{{{labels}}}'] = sample.value
print(json.dumps(samples))
";

fn users(accounts: &Accounts) {
    accounts.set_user("ann", "right", &Scope::ALL).unwrap();
    accounts.set_user("eve", "right", &Scope { shares: Some(vec!["files".into()]), write: true }).unwrap();
}

async fn metrics(served: &Served, client: &Client) -> Value {
    let url = format!("https://{}/api/v1/metrics", served.address);
    let answer = client.get(url).basic_auth("ann", Some("right")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = answer.text().await.unwrap();
    let read = move || {
        let mut python = Command::new(need("python3"));
        python.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "not understood: {text}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    tokio::task::spawn_blocking(read).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_counted() {
    let served = Served::start_with(users).await;
    fs::write(served.shared().join("f"), vec![7; 5000]).unwrap();
    let client = served.client();
    let before = metrics(&served, &client).await;
    assert_eq!(before["sitta_server_share_indexed{share=files}"], 0.0, "{before}");
    assert_eq!(before["sitta_server_requests_pending{}"], 1.0, "this one: {before}");
    assert_eq!(before["sitta_server_build_info{version=0.1.0}"], 1.0, "{before}");
    let login = |request: reqwest::RequestBuilder| request.basic_auth("ann", Some("right"));
    let got = login(client.get(served.url("files/f"))).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(got.len(), 5000);
    let missing = login(client.get(served.url("files/none"))).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let put = login(client.put(served.url("files/g"))).body(vec![1; 3000]).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    let wrong = client.get(served.url("files/f")).basic_auth("ann", Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let now = metrics(&served, &client).await;
    let value = |name: &str| now[name].as_f64().unwrap_or_else(|| panic!("no {name} in {now}"));
    assert_eq!(value("sitta_server_requests_total{route=files,status=200}"), 1.0);
    assert_eq!(value("sitta_server_requests_total{route=files,status=201}"), 1.0);
    assert_eq!(value("sitta_server_requests_total{route=files,status=401}"), 1.0);
    assert_eq!(value("sitta_server_requests_total{route=files,status=404}"), 1.0);
    assert_eq!(value("sitta_server_requests_total{route=metrics,status=200}"), 1.0, "the first one");
    assert_eq!(value("sitta_server_answer_seconds_count{route=files}"), 4.0);
    assert_eq!(value("sitta_server_logins_refused_total{}"), 1.0);
    assert_eq!(value("sitta_server_received_bytes_total{http=1.1}"), 3000.0);
    let sent = value("sitta_server_sent_bytes_total{http=1.1}");
    assert!(sent > 5000.0, "the file, and what was said else: {sent}");
    assert!(value("sitta_server_connections{transport=tcp}") >= 1.0);
    // What names shares is not for accounts that see some of them, nor for nobody.
    let url = format!("https://{}/api/v1/metrics", served.address);
    let some = client.get(&url).basic_auth("eve", Some("right")).send().await.unwrap();
    assert_eq!(some.status(), StatusCode::FORBIDDEN);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}
