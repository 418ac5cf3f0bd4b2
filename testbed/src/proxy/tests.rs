use super::*;

/// A server that gives back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream
}

/// Sends `len` bytes and tells how many came back before the end.
fn round(stream: &mut TcpStream, len: usize) -> usize {
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || drop(writer.write_all(&vec![7; len])));
    let (mut got, mut buffer) = (0, [0; 4096]);
    while got < len {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => got += n,
            _ => break,
        }
    }
    sending.join().unwrap();
    got
}

#[test]
fn passes_and_counts() {
    let proxy = Proxy::to(echo());
    assert_eq!(round(&mut connect(&proxy), 1_000_000), 1_000_000);
    assert_eq!((proxy.connections(), proxy.sent(), proxy.received(), proxy.cuts()), (1, 1_000_000, 1_000_000, 0));
}

#[test]
fn cuts_so_often_and_no_more() {
    let proxy = Proxy::to(echo());
    proxy.cut_after(100_001, 2);
    for _ in 0..2 {
        assert!(round(&mut connect(&proxy), 1_000_000) < 100_001);
    }
    assert_eq!((proxy.cuts(), proxy.sent() + proxy.received()), (2, 200_002));
    assert_eq!(round(&mut connect(&proxy), 1_000_000), 1_000_000);
}

#[test]
fn stalls_and_goes_on() {
    let proxy = Proxy::to(echo());
    let mut open = connect(&proxy);
    assert_eq!(round(&mut open, 10), 10);
    proxy.stall();
    assert_eq!(round(&mut open, 10), 0);
    assert_eq!(round(&mut connect(&proxy), 10), 0);
    proxy.pass();
    let mut late = [0; 10];
    open.read_exact(&mut late).unwrap();
    assert_eq!(round(&mut connect(&proxy), 10), 10);
}

#[test]
fn refuses_and_comes_back() {
    let proxy = Proxy::to(echo());
    let mut open = connect(&proxy);
    assert_eq!(round(&mut open, 10), 10);
    proxy.refuse();
    assert_eq!(open.read(&mut [0; 10]).unwrap_or(0), 0);
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.pass();
    let again = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(10));
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).is_ok()
    });
    assert!(again);
    assert_eq!(round(&mut connect(&proxy), 10), 10);
}

#[test]
fn slows() {
    let proxy = Proxy::to(echo());
    proxy.round_trip(Duration::from_millis(60));
    let mut stream = connect(&proxy);
    let begin = Instant::now();
    assert_eq!(round(&mut stream, 10), 10);
    assert!(begin.elapsed() >= Duration::from_millis(60), "{:?}", begin.elapsed());
    proxy.round_trip(Duration::ZERO);
    proxy.limit(Some(1_000_000));
    let begin = Instant::now();
    assert_eq!(round(&mut stream, 300_000), 300_000);
    assert!(begin.elapsed() >= Duration::from_millis(290), "{:?}", begin.elapsed());
}
