//! A line between two network namespaces that loses, delays and limits IP packets: what networks do to TCP and UDP alike.
//! For root only.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use tappers::Tun;

use crate::need;
use crate::relay::{Line, Way};

/// The largest IP packet.
const PACKET: usize = 65536;

/// A packet, and when it arrives.
type OnItsWay = (Instant, Vec<u8>);

/// Two namespaces with a line between them; both end when it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    ends: [Namespace; 2],
    line: Arc<Mutex<Line>>,
}

#[derive(Debug)]
struct Namespace(String);

impl Tunnel {
    /// Their addresses, of the range for tests of networks (RFC 2544).
    pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)];

    /// A line like this, between ends whose TCP uses that congestion control.
    ///
    /// # Errors
    /// If the namespaces or their devices cannot be made: it takes root, and a kernel with TUN devices.
    pub fn new(line: Line, congestion: &str) -> io::Result<Self> {
        let name = |end| Namespace(format!("sitta-{}-{end}", std::process::id()));
        let tunnel = Self { ends: [name(0), name(1)], line: Arc::new(Mutex::new(line)) };
        let mut devices = Vec::new();
        for (i, Namespace(name)) in tunnel.ends.iter().enumerate() {
            let (here, there) = (Self::ADDRESSES[i].to_string(), Self::ADDRESSES[1 - i].to_string());
            ip(&["netns", "add", name])?;
            let tun = Tun::new()?;
            let device = tun.name()?.name().to_string_lossy().into_owned();
            ip(&["link", "set", "dev", &device, "netns", name])?;
            ip(&["-n", name, "address", "add", &here, "peer", &there, "dev", &device])?;
            ip(&["-n", name, "link", "set", "dev", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "dev", &device, "txqueuelen", "10000", "up"])?;
            // The system's own choice for namespaces may be restricted; that for a route is not.
            ip(&["-n", name, "route", "replace", &there, "dev", &device, "congctl", congestion])?;
            devices.push(Arc::new(tun));
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to, line) = (devices[from].clone(), deliver(devices[to].clone()), tunnel.line.clone());
            thread::spawn(move || receive(&from, &to, &line));
        }
        Ok(tunnel)
    }

    /// How packets fare from now on.
    pub fn set(&self, line: Line) {
        *self.line.lock().unwrap_or_else(|e| e.into_inner()) = line;
    }

    /// A command that is to run at this end.
    pub fn command(&self, end: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(need("ip"));
        command.args(["netns", "exec", &self.ends[end].0]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its device goes with it, and then the threads that read from it.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

fn ip(args: &[&str]) -> io::Result<()> {
    let output = Command::new(need("ip")).args(args).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "ip {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

fn receive(from: &Tun, to: &Sender<OnItsWay>, line: &Mutex<Line>) {
    let (mut buffer, mut way) = (vec![0; PACKET], Way::default());
    while let Ok(n) = from.recv(&mut buffer) {
        let line = *line.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(due) = way.due(line, n)
            && to.send((due, buffer[..n].to_vec())).is_err()
        {
            return;
        }
    }
}

/// A thread that hands over each packet when it is due; it ends when nobody gives it any more.
fn deliver(to: Arc<Tun>) -> Sender<OnItsWay> {
    let (sender, waiting): (_, Receiver<OnItsWay>) = channel();
    thread::spawn(move || {
        let mut queue = VecDeque::new();
        while let Ok(first) = waiting.recv() {
            queue.push_back(first);
            while let Some((due, packet)) = queue.pop_front() {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let _ = to.send(&packet);
                queue.extend(waiting.try_iter());
            }
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Asks a port of the second end where nobody listens; how long that took, and curl's exit code.
    fn ask(tunnel: &Tunnel) -> (Duration, Option<i32>) {
        let mut command = tunnel.command(0, need("curl"));
        let started = Instant::now();
        let output =
            command.args(["--silent", "--max-time", "1"]).arg(format!("{}:9", Tunnel::ADDRESSES[1])).output();
        (started.elapsed(), output.expect("it runs").status.code())
    }

    #[test]
    fn packets_come_late_and_some_never() {
        let delay = Duration::from_millis(30);
        let tunnel = Tunnel::new(Line { delay, ..Line::default() }, "reno").expect("a tunnel, as root");
        let (took, code) = ask(&tunnel);
        assert_eq!(code, Some(7), "refused");
        assert!(took >= 2 * delay, "{took:?}");
        tunnel.set(Line { lost: 1000, ..Line::default() });
        assert_eq!(ask(&tunnel).1, Some(28), "timed out");
    }
}
