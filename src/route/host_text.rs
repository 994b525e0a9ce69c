//! The one spelling in which hosts are compared: IPv6 addresses without brackets and as short as
//! can be. Used by `condition` when a file is read and by `hosts` at every lookup, so it allocates
//! nothing.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;

/// An IPv6 address in its canonical spelling.
#[derive(Clone, Copy, Debug)]
pub struct HostText {
    bytes: [u8; 48],
    length: usize,
}

impl HostText {
    /// The canonical spelling of an IPv6 address, with or without brackets; `None` for other hosts,
    /// which are spelled as they are.
    #[must_use]
    pub fn new(host: &str) -> Option<HostText> {
        if !may_be_address(host) {
            return None;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let address: Ipv6Addr = bare.parse().ok()?;
        let mut text = HostText { bytes: [0; 48], length: 0 };
        // The longest spelling has 45 characters.
        write!(text, "{address}").ok()?;
        Some(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }
}

/// Whether there is a colon where an address has its first one: after at most a bracket and four
/// digits. All of them are looked at, since that takes fewer steps than to stop at the first.
fn may_be_address(host: &str) -> bool {
    match host.as_bytes().first_chunk::<6>() {
        Some(first) => first.iter().fold(false, |found, byte| found | (*byte == b':')),
        None => host.contains(':'),
    }
}

impl Write for HostText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_one() {
        for spelling in ["::1", "[::1]", "0:0:0:0:0:0:0:1", "[0000::0001]"] {
            assert_eq!(HostText::new(spelling).unwrap().as_str(), "::1");
        }
        let mapped = HostText::new("[::ffff:102:304]").unwrap();
        assert_eq!(mapped.as_str(), HostText::new("::ffff:1.2.3.4").unwrap().as_str());
        let longest = "[1111:2222:3333:4444:5555:6666:7777:8888]";
        assert_eq!(HostText::new(longest).unwrap().as_str().len(), 39);
        for other in ["a.com", "a:80", "abcdef.com:80", "", "[", "[]", "1.2.3.4"] {
            assert!(HostText::new(other).is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn every_address_is_seen(address: Ipv6Addr) {
            let text = address.to_string();
            let long = address.segments().map(|part| format!("{part:04x}")).join(":");
            let spellings = [text.clone(), format!("[{text}]"), long.clone(), format!("[{long}]")];
            for spelling in spellings {
                let read = HostText::new(&spelling).unwrap();
                proptest::prop_assert_eq!(read.as_str(), &text);
            }
        }
    }
}
