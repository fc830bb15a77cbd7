//! Which processes of a cluster are this host's.

use std::net::{IpAddr, TcpListener, ToSocketAddrs};

/// The processes whose addresses are this host's own: all of them where all are loopback addresses. `only` is the address by
/// which the hostfile knows this host, where that is not one of its own, as behind a translation of addresses.
///
/// # Errors
/// The first address whose name is not known, or not yet: it may be this host's.
pub fn here<'a>(addresses: &'a [String], only: Option<&str>) -> Result<Vec<usize>, &'a str> {
    let is_here = |address: &'a String| match only {
        Some(only) => Ok::<_, &'a str>(address == only || host(address) == only),
        None => Ok(address.to_socket_addrs().map_err(|_| address.as_str())?.any(|found| is_own(found.ip()))),
    };
    let all = addresses.iter().map(is_here).collect::<Result<Vec<bool>, _>>()?;
    Ok((0..all.len()).filter(|process| all[*process]).collect())
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether an address is one of this host's: only there can one listen.
fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || TcpListener::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_here_and_others_only_if_they_are_this_hosts() {
        let hosts = ["127.0.0.1:2101", "localhost:2102", "[::1]:2103", "192.0.2.7:2101", "no-such-host.invalid:2101"];
        let hosts = hosts.map(str::to_owned);
        assert_eq!(here(&hosts[..4], None), Ok(vec![0, 1, 2]), "192.0.2.0/24 is nobody's");
        assert_eq!(here(&hosts, None), Err("no-such-host.invalid:2101"), "it may be this host's, once it is known");
        assert_eq!(here(&hosts, Some("192.0.2.7")), Ok(vec![3]));
        assert_eq!(here(&hosts, Some("::1")), Ok(vec![2]));
        assert_eq!(here(&hosts, Some("localhost:2102")), Ok(vec![1]));
        assert_eq!(here(&hosts, Some("192.0.2.8")), Ok(Vec::new()));
    }
}
