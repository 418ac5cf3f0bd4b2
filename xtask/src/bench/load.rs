//! A mixed load on `sitta serve` that is held: no request may fail, and none may wait for long.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use sitta_testbed::certificate::Certificate;

use super::client::{Answer, Client};
use super::server::{self, Server};
use super::{Bench, data};
use crate::Result;
use crate::rng::Rng;
use crate::tools::thousands;

const SMALL: usize = 4096;
const LARGE: usize = 1 << 20;

/// Files of each size.
const FILES: usize = 2_000;
const LARGE_FILES: usize = 50;

/// Clients at a time, of each version of HTTP, and on how many connections those go that can share one.
const CLIENTS: [(&str, usize, usize); 3] = [("HTTP/1.1", 24, 24), ("HTTP/2", 24, 4), ("HTTP/3", 16, 4)];

/// What is asked for, and how often of a hundred times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Large,
    List,
    Hash,
    Write,
}

const KINDS: [(Kind, &str, usize); 5] = [
    (Kind::Small, "GET 4 KiB", 60),
    (Kind::Large, "GET 1 MiB", 10),
    (Kind::List, "list 100 entries", 10),
    (Kind::Hash, "hash 4 KiB", 10),
    (Kind::Write, "PUT 4 KiB", 10),
];

/// One request that was answered, or not.
struct Done {
    kind: Kind,
    took: Duration,
    failed: Option<String>,
}

/// A mixed load by many clients for a minute.
pub fn load(bench: &Bench) -> Result {
    let folder = bench.dir.join("served-mixed");
    data::blocks(&folder, FILES, 100, SMALL)?;
    data::blocks(&folder.join("large"), LARGE_FILES, 100, LARGE)?;
    std::fs::create_dir_all(folder.join("written"))?;
    let certificate = server::certificate(bench)?;
    let server = Server::sitta(bench, &folder, &certificate)?;
    let seconds = if bench.quick { 5 } else { 60 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (usage, done) = server.during(|| {
        runtime.block_on(async {
            let clients = clients(&certificate, server.port).await?;
            let end = Instant::now() + Duration::from_secs(seconds);
            let working = clients.into_iter().enumerate().map(|(n, client)| work(n, client, &server.files, end));
            Ok(join_all(working).await)
        })
    })?;
    let done: Vec<Done> = done.into_iter().flatten().collect();
    let how: Vec<String> = CLIENTS.iter().map(|(name, count, _)| format!("{count} by {name}")).collect();
    println!("\nserver under a mixed load for {seconds} s: {} clients at a time", how.join(", "));
    println!(
        "  {:<18} {:>10} {:>8} {:>9} {:>9} {:>9} {:>7}",
        "", "requests", "/s", "p50 ms", "p99 ms", "max ms", "failed"
    );
    let row = |name: &str, chosen: &dyn Fn(&Done) -> bool| {
        let mut times: Vec<Duration> = done.iter().filter(|done| chosen(done)).map(|done| done.took).collect();
        times.sort_unstable();
        let failed = done.iter().filter(|done| chosen(done) && done.failed.is_some()).count();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).or(times.last());
        let ms = |part| at(part).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1e3);
        println!(
            "  {name:<18} {:>10} {:>8.0} {:>9.1} {:>9.1} {:>9.1} {failed:>7}",
            thousands(times.len() as u64),
            times.len() as f64 / usage.wall,
            ms(0.5),
            ms(0.99),
            ms(1.0),
        );
    };
    KINDS.iter().for_each(|(kind, name, _)| row(name, &|done| done.kind == *kind));
    row("all", &|_| true);
    println!(
        "  server: {:.1} CPU s in {:.1} s, {:.0} µs a request, peak {:.1} MiB",
        usage.cpu,
        usage.wall,
        usage.cpu * 1e6 / done.len() as f64,
        usage.memory as f64 / (1 << 20) as f64
    );
    match done.iter().find_map(|done| done.failed.as_ref().map(|why| format!("{:?}: {why}", done.kind))) {
        None => Ok(()),
        Some(first) => Err(format!("requests failed, the first with {first}").into()),
    }
}

async fn clients(certificate: &Certificate, port: u16) -> Result<Vec<Client>> {
    let mut all = Vec::new();
    for (name, count, connections) in CLIENTS {
        let mut some = Vec::new();
        for _ in 0..connections {
            some.push(match name {
                "HTTP/3" => Client::quic(certificate, port).await?,
                name => Client::tcp(certificate, name == "HTTP/2")?,
            });
        }
        all.extend((0..count).map(|n| some[n % connections].clone()));
    }
    Ok(all)
}

/// What one client does, one request after the other.
async fn work(n: usize, mut client: Client, files: &str, end: Instant) -> Vec<Done> {
    let (mut rng, mut done) = (Rng::seeded(n as u64 + 1), Vec::new());
    let body = Bytes::from(rng.bytes(SMALL));
    let other = |route: &str| files.replace("/files/files/", &format!("/files/{route}/"));
    let (entries, hashes) = (other("entries"), other("hashes"));
    while Instant::now() < end {
        let kind = chosen(&mut rng);
        let small = rng.below(FILES);
        let (folder, small) = (format!("folder-{:04}", small / 100), format!("file-{small:06}.dat"));
        let started = Instant::now();
        let answer = match kind {
            Kind::Small => client.ask(Method::GET, &format!("{files}{folder}/{small}"), Bytes::new()).await,
            Kind::Large => {
                let url = format!("{files}large/folder-0000/file-{:06}.dat", rng.below(LARGE_FILES));
                client.ask(Method::GET, &url, Bytes::new()).await
            }
            Kind::List => client.ask(Method::GET, &format!("{entries}{folder}"), Bytes::new()).await,
            Kind::Hash => client.ask(Method::GET, &format!("{hashes}{folder}/{small}"), Bytes::new()).await,
            Kind::Write => {
                client.ask(Method::PUT, &format!("{files}written/{n}-{}", rng.below(100)), body.clone()).await
            }
        };
        let took = started.elapsed();
        let failed = match answer {
            Ok(answer) => (!is_right(kind, answer)).then(|| format!("{answer:?}")),
            Err(error) => Some(error.to_string()),
        };
        done.push(Done { kind, took, failed });
    }
    done
}

fn chosen(rng: &mut Rng) -> Kind {
    let mut left = rng.below(100);
    for (kind, _, share) in KINDS {
        match left.checked_sub(share) {
            Some(rest) => left = rest,
            None => return kind,
        }
    }
    unreachable!("the shares are a hundred together")
}

fn is_right(kind: Kind, (status, size): Answer) -> bool {
    match kind {
        Kind::Small => (status, size) == (200, SMALL as u64),
        Kind::Large => (status, size) == (200, LARGE as u64),
        Kind::List | Kind::Hash => status == 200 && size > 0,
        Kind::Write => matches!(status, 201 | 204),
    }
}
