//! A relay of datagrams between clients and a server that loses, delays and limits them: what networks do to UDP.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The largest datagram.
const DATAGRAM: usize = 65536;
/// How often it is looked whether it is over.
const TICK: Duration = Duration::from_millis(100);
/// How long what waits for the line may have to wait.
const LONGEST_QUEUE: Duration = Duration::from_millis(100);

/// How datagrams fare.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// So many of a thousand are lost, at random, but each time the same.
    pub lost: u64,
    /// One way.
    pub delay: Duration,
    /// Bytes a second, each way; as many as come if none. What waits longer than a tenth of a second is lost.
    pub rate: Option<u64>,
}

/// A relay on a loopback port.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    over: AtomicBool,
    lost: AtomicU64,
}

/// One direction of a line.
#[derive(Debug)]
pub(crate) struct Way {
    /// When what was let in last has left.
    free: Instant,
    /// The state of the pseudo-random numbers.
    random: u64,
}

impl Default for Way {
    fn default() -> Self {
        Self { free: Instant::now(), random: 0x9E37_79B9_7F4A_7C15 }
    }
}

impl Way {
    /// When so many bytes that are sent now arrive; none if they are lost.
    pub fn due(&mut self, line: Line, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        let busy = line.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate as f64));
        let leaves = self.free.max(now) + busy;
        if self.random() % 1000 < line.lost || leaves > now + LONGEST_QUEUE {
            return None;
        }
        self.free = leaves;
        Some(leaves + line.delay)
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = self.random;
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Relay {
    /// A relay to the server at this port of this machine; `port` is its own, 0 for any.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn to(server: u16, port: u16, line: Line) -> io::Result<Self> {
        let socket = listening(port)?;
        let port = socket.local_addr()?.port();
        let shared =
            Arc::new(Shared { line: Mutex::new(line), over: AtomicBool::new(false), lost: AtomicU64::new(0) });
        let (relay, socket) = (shared.clone(), Arc::new(socket));
        thread::spawn(move || relay.run(&socket, (Ipv4Addr::LOCALHOST, server).into()));
        Ok(Self { port, shared })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How datagrams fare from now on.
    pub fn set(&self, line: Line) {
        *self.shared.line.lock().unwrap_or_else(|e| e.into_inner()) = line;
    }

    /// Datagrams lost so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
    }
}

fn listening(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(TICK))?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, 4 << 20)?;
    Ok(socket)
}

/// A datagram on its way.
type OnItsWay = (Instant, SocketAddr, Vec<u8>);

impl Shared {
    /// Takes from clients; each has a socket of its own towards the server.
    fn run(self: Arc<Self>, socket: &Arc<UdpSocket>, server: SocketAddr) {
        let mut clients: HashMap<SocketAddr, (Arc<UdpSocket>, Sender<OnItsWay>)> = HashMap::new();
        self.receive(socket, |client, datagram, due| {
            let (_, way) = clients.entry(client).or_insert_with(|| {
                let outside = Arc::new(listening(0).expect("a free port"));
                let there = deliver(outside.clone());
                let (relay, from, back) = (self.clone(), outside.clone(), deliver(socket.clone()));
                thread::spawn(move || {
                    relay.receive(&from, |_, datagram, due| drop(back.send((due, client, datagram))));
                });
                (outside, there)
            });
            drop(way.send((due, server, datagram)));
        });
    }

    /// Gives what comes, and is not lost, with the time when it is due.
    fn receive(&self, socket: &UdpSocket, mut give: impl FnMut(SocketAddr, Vec<u8>, Instant)) {
        let mut buffer = vec![0; DATAGRAM];
        let mut way = Way::default();
        while !self.over.load(SeqCst) {
            let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
            let line = *self.line.lock().unwrap_or_else(|e| e.into_inner());
            let Some(due) = way.due(line, n) else {
                self.lost.fetch_add(1, SeqCst);
                continue;
            };
            give(from, buffer[..n].to_vec(), due);
        }
    }
}

/// A thread that sends each datagram when it is due; it ends when nobody gives it any more.
fn deliver(socket: Arc<UdpSocket>) -> Sender<OnItsWay> {
    let (sender, waiting): (_, Receiver<OnItsWay>) = channel();
    thread::spawn(move || {
        let mut queue = VecDeque::new();
        while let Ok(first) = waiting.recv() {
            queue.push_back(first);
            while let Some((due, to, datagram)) = queue.pop_front() {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let _ = socket.send_to(&datagram, to);
                queue.extend(waiting.try_iter());
            }
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives back what it gets.
    fn echo() -> u16 {
        let socket = listening(0).expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        thread::spawn(move || {
            let mut buffer = vec![0; DATAGRAM];
            for _ in 0..100 {
                if let Ok((n, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..n], from);
                }
            }
        });
        port
    }

    #[test]
    fn datagrams_come_late_and_some_never() {
        let delay = Duration::from_millis(30);
        let relay = Relay::to(echo(), 0, Line { delay, ..Line::default() }).expect("a relay");
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        client.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        let started = Instant::now();
        let mut buffer = [0; 16];
        client.send_to(b"here", (Ipv4Addr::LOCALHOST, relay.port())).expect("sent");
        assert_eq!(client.recv(&mut buffer).expect("it comes back"), 4);
        assert!(started.elapsed() >= 2 * delay);
        relay.set(Line { lost: 1000, ..Line::default() });
        client.send_to(b"lost", (Ipv4Addr::LOCALHOST, relay.port())).expect("sent");
        client.recv(&mut buffer).expect_err("nothing comes back");
        assert_eq!(relay.lost(), 1);
    }
}
