//! A server as a child process that cannot outlive its owner.
//!
//! Its standard input is a pipe held by the owner. A small shell watches the other end: when the owner ends, however
//! it ends, the pipe closes and the shell ends the server by its process id.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs `"$@"`, and ends it when standard input closes: asks first, insists after 10 s.
const GUARD: &str = r#"
trap '' INT HUP
exec 3<&0
"$@" </dev/null 3<&- &
pid=$!
{ cat <&3
  kill "$pid"
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" || exit; sleep 1; done
  kill -9 "$pid"
} >/dev/null 2>&1 &
dog=$!
exec 3<&-
wait "$pid"
code=$?
kill "$dog" 2>/dev/null
exit "$code"
"#;

/// A running server.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    guarded: bool,
}

impl Server {
    /// Starts a server that ends with this value, or with this process.
    pub fn guarded(name: &str, command: &Command, log: &Path) -> Result<Server> {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(command.get_program()).args(command.get_args());
        Self::spawn(name, guard, command, log, true)
    }

    /// Starts a server that goes on when this process ends; its process id is all that is left of it.
    pub fn detached(name: &str, command: &Command, log: &Path) -> Result<Server> {
        let mut plain = Command::new(command.get_program());
        plain.args(command.get_args()).process_group(0);
        Self::spawn(name, plain, command, log, false)
    }

    fn spawn(name: &str, mut command: Command, like: &Command, log: &Path, guarded: bool) -> Result<Server> {
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        for (key, value) in like.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(dir) = like.get_current_dir() {
            command.current_dir(dir);
        }
        command.stdin(if guarded { Stdio::piped() } else { Stdio::null() });
        command.stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Server { name: name.into(), child, log: log.into(), guarded })
    }

    /// Its process id (of the guard, where there is one).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` holds; fails when the server ends first or `limit` passes, naming its log.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start ({status}); see {}", self.name, self.log.display());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready after {} s; see {}", self.name, limit.as_secs(), self.log.display());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.guarded {
            return;
        }
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20));
        }
    }
}

/// Ports of the loopback address that are free now, all different.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Whether something accepts connections there.
pub fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// Whether a log holds this text.
pub fn log_says(log: &Path, text: &str) -> bool {
    File::open(log).and_then(io::read_to_string).is_ok_and(|all| all.contains(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_server_ends_with_its_owner() {
        let log = std::env::temp_dir().join(format!("citystream-guard-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo pid=$$; exec sleep 60"]);
        let mut server = Server::guarded("sleeper", &command, &log).unwrap();
        server.wait_ready(Duration::from_secs(5), || log_says(&log, "pid=")).unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        let process = Path::new("/proc").join(text.trim().trim_start_matches("pid="));
        assert!(process.exists());
        drop(server);
        assert!(!process.exists(), "still running: {}", process.display());
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let log = std::env::temp_dir().join(format!("citystream-ends-{}", std::process::id()));
        let mut server = Server::guarded("failing", &Command::new("false"), &log).unwrap();
        let error = server.wait_ready(Duration::from_secs(5), || false).unwrap_err();
        assert!(error.to_string().contains("ended at its start"), "{error}");
        std::fs::remove_file(log).unwrap();
    }
}
