//! The hostfile: one `host:port` a line, in the order of the processes; `#` starts a comment; blank lines count for
//! nothing. Lines beyond the number of processes are not looked at, so that one file serves several sizes.

use std::net::IpAddr;
use std::path::Path;

/// Why a hostfile does not say where the processes are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostfileError {
    /// It cannot be read.
    #[error("cannot read the hostfile {path}: {reason}")]
    Unreadable {
        /// Its path.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// It names too few processes.
    #[error(
        "the hostfile {path} names {found} addresses, but --processes is {needed}: add {} lines host:port, or start \
         fewer processes",
        needed - found
    )]
    Short {
        /// Its path.
        path: String,
        /// How many addresses it has.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A line is not `host:port`.
    #[error("line {line} of the hostfile {path} is not host:port: {text:?}")]
    Malformed {
        /// Its path.
        path: String,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// Two processes cannot listen on the same address.
    #[error("line {line} of the hostfile {path} repeats {text:?}")]
    Repeated {
        /// Its path.
        path: String,
        /// The number of the second line, from 1.
        line: usize,
        /// The address.
        text: String,
    },
}

/// The addresses of the first `needed` processes.
pub fn read(path: &Path, needed: usize) -> Result<Vec<String>, HostfileError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| HostfileError::Unreadable { path: name.clone(), reason: e.to_string() })?;
    parse(&name, &text, needed)
}

/// The addresses of the first `needed` processes in `text`; `path` is for the messages only.
pub fn parse(path: &str, text: &str, needed: usize) -> Result<Vec<String>, HostfileError> {
    let mut addresses: Vec<String> = Vec::with_capacity(needed);
    for (number, line) in text.lines().enumerate() {
        let address = line.split('#').next().unwrap_or_default().trim();
        if address.is_empty() || addresses.len() == needed {
            continue;
        }
        let (path, line, text) = (path.to_owned(), number + 1, address.to_owned());
        if !is_address(address) {
            return Err(HostfileError::Malformed { path, line, text });
        }
        if addresses.contains(&text) {
            return Err(HostfileError::Repeated { path, line, text });
        }
        addresses.push(text);
    }
    if addresses.len() < needed {
        return Err(HostfileError::Short { path: path.to_owned(), found: addresses.len(), needed });
    }
    Ok(addresses)
}

/// Whether it reads as `host:port`, with the brackets of an IPv6 address.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', '@']);
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    (bracketed || plain)
        && !text.contains(char::is_whitespace)
        && digits
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether only this machine reaches an address; of names, `localhost` alone says so without being asked for.
pub(crate) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether an address is given by a name.
pub(crate) fn is_name(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_count_for_nothing() {
        let text = "# the first rack\n\n  alpha:2101  # lead\r\n[::1]:2102\n\nbeta.example:2101\n";
        assert_eq!(parse("f", text, 3).unwrap(), ["alpha:2101", "[::1]:2102", "beta.example:2101"]);
    }

    #[test]
    fn names_and_numbers_are_told_apart() {
        assert!(is_name("citystream-1.citystream:2101"));
        assert!(!is_name("192.0.2.1:2101") && !is_name("[::1]:2101"));
    }

    #[test]
    fn more_lines_than_processes_are_not_looked_at() {
        assert_eq!(parse("f", "a:1\nb:1\nrubbish\na:1\n", 2).unwrap(), ["a:1", "b:1"]);
    }

    #[test]
    fn a_short_file_says_so() {
        let error = parse("hosts", "a:1\n#b:1\n", 3).unwrap_err();
        assert_eq!(error, HostfileError::Short { path: "hosts".into(), found: 1, needed: 3 });
        assert!(error.to_string().contains("names 1 addresses, but --processes is 3"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_named_with_its_line() {
        for bad in ["alpha", "alpha:", ":2101", "alpha:0", "alpha:65536", "a b:1", "http://a:1", "::1:2101", "a:+1"] {
            let error = parse("f", &format!("ok:1\n{bad}\n"), 2).unwrap_err();
            assert_eq!(error, HostfileError::Malformed { path: "f".into(), line: 2, text: bad.into() });
        }
    }

    #[test]
    fn two_processes_cannot_share_an_address() {
        let error = parse("f", "a:1\n\na:1\n", 2).unwrap_err();
        assert_eq!(error, HostfileError::Repeated { path: "f".into(), line: 3, text: "a:1".into() });
    }

    #[test]
    fn what_this_machine_alone_reaches_is_told_from_the_rest() {
        for local in ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(local), "{local}");
        }
        for open in ["host:1", "0.0.0.0:1", "10.0.0.1:1", "[::]:1", "localhost.example:1", "127.0.0.1.example:1"] {
            assert!(!is_loopback(open), "{open}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/does/not/exist"), 2).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the hostfile /does/not/exist: "), "{error}");
    }
}
