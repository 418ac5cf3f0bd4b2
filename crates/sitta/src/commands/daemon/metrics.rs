//! `/metrics` of the daemon: one small answer to one small question, for a collector on this machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use sitta_jobs::metrics;

use crate::commands::job::{open_history, states};
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// A question is no longer than this.
const LONG: usize = 8 * 1024;

/// Nobody waits longer than this for a question or to get rid of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers at `address` from now on, in a thread of its own.
pub fn serve(context: &Context, address: SocketAddr) -> Outcome<()> {
    let listener = TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!("metrics cannot be served at {address}"))
            .note(error.to_string())
            .hint("choose another port with --metrics, or metrics in [daemon]")
    })?;
    // It reads the config and the history anew each time, as they are then.
    let context = context.reload()?;
    super::say(&context, "daemon", &format!("serves http://{address}/metrics"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One who does not listen is no reason to stop.
            let _ = answer(&context, stream);
        }
    });
    Ok(())
}

fn answer(context: &Context, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") && asked.len() < LONG {
        match stream.read(&mut piece)? {
            0 => break,
            n => asked.extend_from_slice(&piece[..n]),
        }
    }
    let line = asked.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let (status, kind, body) = match line.split(' ').collect::<Vec<_>>()[..] {
        ["GET", path, _] if path.split('?').next() == Some("/metrics") => match text(context) {
            Ok(text) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", text),
            Err(failure) => {
                ("500 Internal Server Error", "text/plain; charset=utf-8", format!("{}\n", failure.what))
            }
        },
        ["GET", ..] => ("404 Not Found", "text/plain; charset=utf-8", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain; charset=utf-8", "only GET is answered\n".to_owned()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn text(context: &Context) -> Outcome<String> {
    let context = context.reload()?;
    let history = open_history(&context)?;
    let waiting = history.waiting().map_err(|error| super::failed(&error))?.len();
    Ok(metrics::text(&states(&context, &history)?, waiting))
}
