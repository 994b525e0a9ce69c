//! A network as an operator writes it: `10.0.0.0/8`, `fc00::/7`, or a single address. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// What is written is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a network (an address, or ADDR/BITS)")]
pub struct NetworkError(String);

impl Network {
    /// Whether it has this address. An IPv4 address in IPv6 clothes is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
            None => most,
        };
        match (address.to_canonical(), bits.checked_sub(96)) {
            (address @ IpAddr::V4(_), Some(bits)) if most == 128 => Ok(Network { address, bits }),
            _ => Ok(Network { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn has(text: &str, address: &str) -> bool {
        network(text).contains(address.parse().unwrap())
    }

    #[test]
    fn what_they_have() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.6"));
        assert!(has("0.0.0.0/0", "255.255.255.255") && !has("0.0.0.0/0", "::1"));
        assert!(has("fc00::/7", "fdff::1") && !has("fc00::/7", "fe00::"));
        assert!(has("::/0", "::1") && !has("::/0", "1.2.3.4"));
        assert!(has("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(has("::ffff:127.0.0.0/104", "127.1.2.3"));
        // What follows the network's own bits does not matter.
        assert!(has("10.1.2.3/8", "10.9.9.9"));
    }

    #[test]
    fn what_is_none() {
        for text in ["", "a", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10/8", "/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again(address: IpAddr, bits in 0_u8..=128) {
            prop_assume!(address.to_canonical() == address);
            let bits = if address.is_ipv4() { bits / 4 } else { bits };
            let given = Network { address, bits };
            prop_assert_eq!(given.to_string().parse(), Ok(given));
            prop_assert!(given.contains(address));
        }
    }
}
