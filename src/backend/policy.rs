//! The address policy of `untrusted` targets (specification, routing 2.5). Pure; used by `connect`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an `untrusted` target may not be reached at this address.
#[must_use]
pub fn forbidden(address: IpAddr) -> bool {
    // `::ffff:10.0.0.1` reaches 10.0.0.1.
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> bool {
    // 0.0.0.0 is not in the specification's list, but connecting to it reaches this host.
    v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.octets()[0] == 0
}

fn forbidden_v6(v6: Ipv6Addr) -> bool {
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        // `::10.0.0.1`, the older way of writing an IPv4 address as IPv6.
        || matches!(v6.segments(), [0, 0, 0, 0, 0, 0, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_local_addresses_are_forbidden() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "::",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
        ] {
            assert!(forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for text in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "2001:db8::1", "11.0.0.1"]
        {
            assert!(!forbidden(text.parse().unwrap()), "{text}");
        }
    }
}
