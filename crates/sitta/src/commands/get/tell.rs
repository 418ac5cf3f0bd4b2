//! What `sitta get` says of a file that is here now.

use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use sitta_tree::Printable;

use super::pace::Lane;
use super::{Got, What};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

/// The file as data to standard output, how it came here to standard error.
pub fn tell(context: &Context, got: &Got) -> Outcome {
    let mut out = context.out();
    let name = got.path.strip_prefix(".").unwrap_or(&got.path).as_os_str().as_bytes();
    if context.json {
        let what = match got.what {
            What::Copied => "copy",
            What::Updated => "update",
            What::Unchanged => "unchanged",
            What::Kept => "kept",
        };
        let mut object = json!({"event": "file", "what": what});
        shown::add_bytes(&mut object, "path", name);
        object["size"] = got.entry.size.into();
        object["modified"] = units::utc_time(got.entry.meta.mtime).into();
        object["algo"] = "blake3".into();
        object["hash"] = got.hash.to_string().into();
        out.line(object)?;
        out.line(json!({
            "event": "report", "verb": "get", "outcome": "success", "problems": [], "bytes": got.received,
            "resumed_from": got.resumed_from, "cached": got.cached, "transport": transport(got), "requests": got.requests, "seconds": got.took.as_secs_f64(),
        }))?;
    } else if !context.quiet {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left]);
        table.row(["NAME", "SIZE", "MODIFIED", "BLAKE3"].map(str::to_owned).to_vec());
        table.row(vec![
            Printable(name).to_string(),
            units::size(got.entry.size),
            units::local_time(got.entry.meta.mtime, &context.zone()),
            got.hash.to_string(),
        ]);
        out.table(&table, context.out_style)?;
    }
    out.flush()?;
    if !context.json && !context.quiet {
        let head = context.console.style.head("Done");
        lines(got).iter().enumerate().for_each(|(index, line)| {
            let head = if index == 0 { head.as_str() } else { "           " };
            context.console.line(format!("{head}{line}"));
        });
    }
    Ok(Exit::Done)
}

/// By which way it came; none if nothing had to.
fn transport(got: &Got) -> Option<&'static str> {
    got.lane.map(|lane| match lane {
        Lane::Tcp => "tcp",
        Lane::Udp => "udp",
    })
}

fn lines(got: &Got) -> Vec<String> {
    let took = units::duration(got.took);
    let how = match (got.cached, got.lane) {
        (true, _) => ", from the cache",
        (false, Some(Lane::Udp)) => ", by UDP",
        (false, _) => "",
    };
    let size = if got.cached { got.entry.size } else { got.received };
    let received = format!("{} in {took}{how}", units::size(size));
    let mut lines = match got.what {
        What::Copied => vec![format!("1 copied · {received}")],
        What::Updated => vec![format!("1 updated · {received}"), "1 old version is gone".to_owned()],
        What::Unchanged if got.received > 0 || got.cached => {
            vec![format!("the same bytes were here already · {received}")]
        }
        What::Unchanged => vec![format!("nothing to do: the same file is here already ({took})")],
        What::Kept => vec![format!("nothing was changed: another version is here ({took})")],
    };
    if got.resumed_from > 0 && got.received > 0 {
        lines.push(format!("{} were here from an attempt before", units::size(got.resumed_from)));
    }
    lines
}
