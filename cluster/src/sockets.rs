//! How a socket behaves when the other end does not.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long the other end may leave what was sent unacknowledged. Without it a link that is cut is noticed after a quarter of
/// an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// When a silent link is asked, how often, and how often in vain before it is given up.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1)).with_retries(5);

/// Nothing waits, neither this process for the socket nor the socket for more to send; a dead link ends.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

/// As timely wants it: it waits for the socket, without a limit.
pub(crate) fn hand_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)
}
