//! Servers that no HTTP library would make: they cut the line, or never end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What a server does with a connection once it has read a request.
pub(crate) type Deed = fn(&mut TcpStream) -> std::io::Result<()>;

/// Starts a server; gives its address and how many connections it has had. It ends with the test's process.
pub(crate) fn serve(deed: Deed) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || answer(stream, deed));
        }
    });
    (address, connections)
}

/// The client may have gone: that is what some tests are about.
fn answer(mut stream: TcpStream, deed: Deed) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let _ = deed(&mut stream);
}

/// Ends without a word.
pub(crate) fn silent(_: &mut TcpStream) -> std::io::Result<()> {
    Ok(())
}

/// Promises more than it sends.
pub(crate) fn cut(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"main\": {")
}

/// Speaks something else.
pub(crate) fn babble(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 mail.example ESMTP\r\n")
}

/// Sends for as long as anyone listens.
pub(crate) fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
    loop {
        stream.write_all(&[b' '; 4096])?;
    }
}
