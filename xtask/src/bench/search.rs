//! Which files hold a text: by reading all of them, and by a server that has an index.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::cases::{add, us};
use super::{Bench, Contender, Target, data, table};
use crate::Result;
use crate::tools::thousands;

/// It stands in one file.
const RARE: &str = "nuthatches-cache-seeds";

/// So many searches with the index are to take no longer than one without.
const SEARCHES: usize = 100;

/// A server of our own, ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn search(bench: &Bench) -> Result {
    let (tree, files) = (&bench.dir.join("searched"), bench.size(100_000));
    println!("\nmaking {} files of text …", thousands(files as u64));
    data::texts(tree, files, 100, 22_000)?;
    std::fs::write(tree.join("folder-0000/rare.txt"), format!("here {RARE} stand"))?;
    let rg = |list: &mut Vec<Contender<'_>>, target| {
        let tree = tree.clone();
        add(list, "rg", "rg", Some(target), move |c, _| {
            c.args(["-l", "-F", "-uuu", "-a", RARE]).arg(&tree);
        });
    };
    let mut list = vec![us(move |_| {
        let mut command = bench.sitta(&["find", "--contains", RARE]);
        command.arg(tree);
        command
    })];
    rg(&mut list, Target::Cpu(1.05));
    table::print(&format!("search {} files", thousands(files as u64)), &bench.race(7, list)?);

    let (_server, address) = serve(bench, tree)?;
    let url = format!(
        "https://{address}/api/v1/shares/bench/entries?recursive=true&contains={RARE}&limit=[1-{SEARCHES}]"
    );
    let mut list = Vec::new();
    add(&mut list, "100 × index", "curl", None, move |c, _| {
        c.args(["-sSfk", &url]);
    });
    rg(&mut list, Target::Wall(1.0));
    if list.first().is_some_and(|first| first.name != "rg") {
        table::print(&format!("{SEARCHES} searches with the index against one without"), &bench.race(7, list)?);
    }
    Ok(())
}

/// Serves the tree, and waits until it is indexed.
fn serve(bench: &Bench, tree: &Path) -> Result<(Server, String)> {
    let share = format!("--share=bench={}", tree.display());
    let mut command = bench.sitta(&["serve", "--json", "--listen", "127.0.0.1:0", &share]);
    let mut server = Server(command.stdout(Stdio::piped()).spawn()?);
    let output = server.0.stdout.take().ok_or("no output")?;
    let begun = std::time::Instant::now();
    let mut address = String::new();
    for line in BufReader::new(output).lines() {
        let told: Value = serde_json::from_str(&line?)?;
        if told["event"] == "serving" {
            address = told["addresses"][0].as_str().unwrap_or_default().to_owned();
        }
        if told["event"] == "index" {
            let seconds = begun.elapsed().as_secs_f64();
            println!("\nindex of {} files {} after {seconds:.1} s", told["files"], told["state"]);
            return Ok((server, address));
        }
    }
    Err("the server ended".into())
}
