//! Which processes of a cluster are this host's.

use std::net::{IpAddr, TcpListener, ToSocketAddrs};

/// The processes whose addresses are this host's own: all of them where all are loopback addresses. `only` is the address by
/// which the hostfile knows this host, where that is not one of its own, as behind a translation of addresses.
pub fn here(addresses: &[String], only: Option<&str>) -> Vec<usize> {
    let is_here = |address: &str| match only {
        Some(only) => address == only || host(address) == only,
        None => resolved(address).into_iter().any(is_own),
    };
    (0..addresses.len()).filter(|process| is_here(&addresses[*process])).collect()
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Nothing for a name that is not known, or not yet.
fn resolved(address: &str) -> Vec<IpAddr> {
    address.to_socket_addrs().map(|found| found.map(|it| it.ip()).collect()).unwrap_or_default()
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
        assert_eq!(here(&hosts, None), [0, 1, 2], "192.0.2.0/24 is nobody's");
        assert_eq!(here(&hosts, Some("192.0.2.7")), [3]);
        assert_eq!(here(&hosts, Some("::1")), [2]);
        assert_eq!(here(&hosts, Some("localhost:2102")), [1]);
        assert_eq!(here(&hosts, Some("192.0.2.8")), [0_usize; 0]);
    }
}
