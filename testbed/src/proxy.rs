//! A proxy between a client and a server that cuts, stalls and slows connections: what networks do.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are passed on in one piece.
const PIECE: usize = 16 * 1024;
/// Pieces of a connection that may be on their way at once: bounds the memory, and with latency the throughput.
const ON_THE_WAY: usize = 1024;

/// A TCP proxy on a loopback port. It passes everything until it is told otherwise; what it is told counts at once, for
/// connections that are open too.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// How connections fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pass,
    /// Accepted and held, but nothing passes.
    Stall,
    /// Nobody listens.
    Refuse,
    Closed,
}

/// Which connections end early.
#[derive(Debug, Clone, Copy)]
struct Cut {
    after: u64,
    left: u64,
}

#[derive(Debug)]
struct Rules {
    state: State,
    cut: Option<Cut>,
    /// Bytes a second, in each direction.
    rate: Option<u64>,
    /// One way.
    delay: Duration,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<Rules>,
    changed: Condvar,
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    connections: AtomicU64,
    cuts: AtomicU64,
    /// To the server, and from it.
    bytes: [AtomicU64; 2],
    /// When the line is free again, in each direction.
    free: [Mutex<Instant>; 2],
}

impl Proxy {
    /// A proxy to the server at this port of this machine.
    ///
    /// # Panics
    /// If no port can be listened at.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let now = Instant::now();
        let shared = Arc::new(Shared {
            rules: Mutex::new(Rules { state: State::Pass, cut: None, rate: None, delay: Duration::ZERO }),
            changed: Condvar::new(),
            open: Mutex::default(),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
            free: [Mutex::new(now), Mutex::new(now)],
        });
        let acceptor = shared.clone();
        thread::spawn(move || acceptor.accept(listener, port, server));
        Self { port, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes everything from now on. A rate and a latency stay.
    pub fn pass(&self) {
        let mut rules = self.shared.rules();
        (rules.state, rules.cut) = (State::Pass, None);
        drop(rules);
        self.shared.changed.notify_all();
    }

    /// Cuts each connection, open or new, when `bytes` have passed over it in both directions together, but at most
    /// `times` connections from now on. The last piece passes in part, so that a packet is torn.
    pub fn cut_after(&self, bytes: u64, times: u64) {
        self.shared.rules().cut = Some(Cut { after: bytes, left: times });
    }

    /// Cuts all open connections now.
    pub fn cut(&self) {
        for streams in self.shared.open().values() {
            self.shared.cuts.fetch_add(1, SeqCst);
            streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }

    /// Nothing passes any more, until [`Proxy::pass`]; new connections are accepted.
    pub fn stall(&self) {
        self.shared.rules().state = State::Stall;
    }

    /// Cuts all connections, and nobody listens any more, until [`Proxy::pass`].
    pub fn refuse(&self) {
        self.shared.rules().state = State::Refuse;
        self.cut();
        self.wake();
    }

    /// Lets that many bytes a second through, in each direction, over all connections; none: as many as come.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        self.shared.rules().rate = bytes_per_second;
    }

    /// Makes the way there and back take this long.
    pub fn round_trip(&self, time: Duration) {
        self.shared.rules().delay = time / 2;
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// Connections cut so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(SeqCst)
    }

    /// Bytes that went to the server so far.
    pub fn sent(&self) -> u64 {
        self.shared.bytes[0].load(SeqCst)
    }

    /// Bytes that came from the server so far.
    pub fn received(&self) -> u64 {
        self.shared.bytes[1].load(SeqCst)
    }

    /// Wakes who waits for a connection, and returns once nobody listens.
    fn wake(&self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.rules().state = State::Closed;
        self.shared.changed.notify_all();
        self.cut();
        self.wake();
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, [TcpStream; 2]>> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits while `held` is the state, and tells which it is then.
    fn wait_while(&self, held: State) -> State {
        let rules = self.changed.wait_while(self.rules(), |rules| rules.state == held);
        rules.unwrap_or_else(|e| e.into_inner()).state
    }

    fn accept(self: Arc<Self>, mut listener: TcpListener, port: u16, server: u16) {
        loop {
            let accepted = listener.accept();
            match self.rules().state {
                State::Closed => return,
                State::Refuse => {}
                State::Pass | State::Stall => {
                    if let Ok((client, _)) = accepted {
                        self.connect(client, server);
                    }
                    continue;
                }
            }
            drop(listener);
            if self.wait_while(State::Refuse) == State::Closed {
                return;
            }
            listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port that was free just now");
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: u16) {
        let id = self.connections.fetch_add(1, SeqCst);
        // A client of a server that is not there finds its connection closed.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
        let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
        self.open().insert(id, [client2, server2]);
        let connection = Arc::new(Connection { id, passed: Mutex::new(Some(0)), ended: AtomicBool::new(false) });
        for (way, from, to) in [(0, &client, &server), (1, &server, &client)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
            let (sender, receiver) = sync_channel(ON_THE_WAY);
            let shared = self.clone();
            thread::spawn(move || shared.take(from, sender));
            let (shared, connection) = (self.clone(), connection.clone());
            thread::spawn(move || shared.give(to, receiver, way, &connection));
        }
    }

    /// Reads pieces and notes when they are due at the other side.
    fn take(&self, mut from: TcpStream, pieces: SyncSender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; PIECE];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + self.rules().delay;
            if pieces.send((due, buffer[..n].to_vec())).is_err() {
                return;
            }
        }
    }

    fn give(&self, mut to: TcpStream, pieces: Receiver<(Instant, Vec<u8>)>, way: usize, connection: &Connection) {
        for (due, mut piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.wait_for_the_line(way, piece.len());
            if self.wait_while(State::Stall) != State::Pass {
                break;
            }
            let cut = self.cut_at(connection, piece.len());
            piece.truncate(cut.unwrap_or(piece.len()));
            self.bytes[way].fetch_add(piece.len() as u64, SeqCst);
            if to.write_all(&piece).is_err() || cut.is_some() {
                self.end(connection);
                return;
            }
        }
        // One side said all it had to say; the other may still talk, until it has too.
        let _ = to.shutdown(Shutdown::Write);
        if connection.ended.swap(true, SeqCst) {
            self.open().remove(&connection.id);
        }
    }

    /// How much of a piece still passes, if the connection is to be cut in it.
    fn cut_at(&self, connection: &Connection, len: usize) -> Option<usize> {
        // Held until it is decided: the other direction may reach the limit at the same moment.
        let mut passed = connection.passed.lock().unwrap_or_else(|e| e.into_inner());
        let Some(before) = *passed else { return Some(0) };
        *passed = Some(before + len as u64);
        let mut rules = self.rules();
        let cut = rules.cut.as_mut().filter(|cut| cut.left > 0 && before + len as u64 > cut.after)?;
        cut.left -= 1;
        *passed = None;
        self.cuts.fetch_add(1, SeqCst);
        Some((cut.after.saturating_sub(before) as usize).min(len))
    }

    fn end(&self, connection: &Connection) {
        if let Some(streams) = self.open().remove(&connection.id) {
            streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }

    fn wait_for_the_line(&self, way: usize, len: usize) {
        let Some(rate) = self.rules().rate else { return };
        let busy = Duration::from_secs_f64(len as f64 / rate.max(1) as f64);
        let mut free = self.free[way].lock().unwrap_or_else(|e| e.into_inner());
        let until = (*free).max(Instant::now()) + busy;
        *free = until;
        drop(free);
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

#[derive(Debug)]
struct Connection {
    id: u64,
    /// Bytes so far, in both directions; none when it was cut.
    passed: Mutex<Option<u64>>,
    /// Whether one direction has ended.
    ended: AtomicBool,
}

#[cfg(test)]
mod tests;
