//! The head that a proxy in front puts before a client's bytes: PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Called by `listen`, with what has come so far. Pure. It says who the client is; whether the
//! sender is to be believed is not its business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with (its section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// Longest line of version 1, its end included (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// Bytes of version 2 before the addresses.
const FIXED_BYTES: usize = 16;
/// The type of the checksum among the further values of version 2 (section 2.2.3).
const CRC32C: u8 = 0x03;

/// Whose bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client with this address. (Its transport may have been UDP, as HTTP/3's is.)
    Client(SocketAddr),
    /// A client that has no address: it connected to the proxy over a Unix socket.
    Unix,
    /// The proxy's own, or nobody whom it knows: the connection's peer counts.
    Connection,
}

/// A head, and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose bytes follow.
    pub source: Source,
    /// Its length, in bytes.
    pub bytes: usize,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A whole head.
    Whole(Head),
    /// The beginning of one; it has at least so many bytes in all.
    Needs(usize),
}

/// Why what came is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It begins otherwise.
    #[error("does not begin with a PROXY protocol header")]
    Missing,
    /// It is longer than allowed.
    #[error("a PROXY protocol header of more than {0} bytes")]
    TooLong(usize),
    /// A line of version 1 that is not as it must be.
    #[error("PROXY protocol version 1: expected {0}")]
    Line(&'static str),
    /// A version that does not exist.
    #[error("PROXY protocol: version {0} is not known")]
    Version(u8),
    /// A command that does not exist.
    #[error("PROXY protocol version 2: command {0} is not known")]
    Command(u8),
    /// A family or transport that does not exist.
    #[error("PROXY protocol version 2: address family {0:#04x} is not known")]
    Family(u8),
    /// The addresses, or the values behind them, do not fit into the length.
    #[error("PROXY protocol version 2: {0} do not fit into its length")]
    Short(&'static str),
    /// The checksum is not that of the head.
    #[error("PROXY protocol version 2: wrong checksum")]
    Checksum,
}

/// Reads the head at the beginning of `bytes`, of at most `bytes_max`.
///
/// # Errors
/// See [`Invalid`]; as soon as it is known, whatever may come.
pub fn read(bytes: &[u8], bytes_max: usize) -> Result<Progress, Invalid> {
    if bytes.is_empty() {
        return Ok(Progress::Needs(1));
    }
    if begins_as(bytes, SIGNATURE) {
        return version_2(bytes, bytes_max);
    }
    if begins_as(bytes, WORD) {
        return version_1(bytes);
    }
    Err(Invalid::Missing)
}

/// Whether one begins with the other.
fn begins_as(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(byte, expected)| byte == expected)
}

fn version_1(bytes: &[u8]) -> Result<Progress, Invalid> {
    let window = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        if window.len() == LINE_BYTES_MAX {
            return Err(Invalid::Line("its end within 107 bytes"));
        }
        return Ok(Progress::Needs(bytes.len() + 1));
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.and_then(|line| line.strip_prefix(WORD));
    let line = line.ok_or(Invalid::Line("CR before LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid::Line("ASCII"))?;
    Ok(Progress::Whole(Head { source: line_source(line)?, bytes: end + 1 }))
}

fn line_source(line: &str) -> Result<Source, Invalid> {
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // What may follow is to be ignored.
        return Ok(Source::Connection);
    }
    let mut address = |what| -> Result<IpAddr, Invalid> {
        let word = words.next().unwrap_or_default();
        let parsed = match family {
            "TCP4" => word.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
            "TCP6" => word.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
            _ => return Err(Invalid::Line("TCP4, TCP6 or UNKNOWN")),
        };
        parsed.ok_or(Invalid::Line(what))
    };
    let source = address("a source address of its family")?;
    address("a destination address of its family")?;
    let source_port = words.next().and_then(port).ok_or(Invalid::Line("a source port"))?;
    words.next().and_then(port).ok_or(Invalid::Line("a destination port"))?;
    if words.next().is_some() {
        return Err(Invalid::Line("the end after the ports"));
    }
    Ok(Source::Client(SocketAddr::new(source, source_port)))
}

/// Digits without a zero before them.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let padded = word.len() > 1 && word.starts_with('0');
    (plain && !padded).then(|| word.parse().ok())?
}

fn version_2(bytes: &[u8], bytes_max: usize) -> Result<Progress, Invalid> {
    if let Some(byte) = bytes.get(12) {
        if byte >> 4 != 2 {
            return Err(Invalid::Version(byte >> 4));
        }
        if byte & 0xf > 1 {
            return Err(Invalid::Command(byte & 0xf));
        }
    }
    let Some(&[command, family, high, low]) = bytes.get(12..FIXED_BYTES) else {
        return Ok(Progress::Needs(FIXED_BYTES));
    };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > bytes_max {
        return Err(Invalid::TooLong(bytes_max));
    }
    let addresses = addresses_bytes(family).ok_or(Invalid::Family(family))?;
    let Some(head) = bytes.get(..length) else { return Ok(Progress::Needs(length)) };
    if command & 0xf == 0 {
        // LOCAL: what follows is to be skipped, whatever it is.
        return Ok(Progress::Whole(Head { source: Source::Connection, bytes: length }));
    }
    let rest = head.get(FIXED_BYTES..).unwrap_or_default();
    let (block, values) = rest.split_at_checked(addresses).ok_or(Invalid::Short("addresses"))?;
    check(head, values)?;
    let source = block_source(family, block).ok_or(Invalid::Short("addresses"))?;
    Ok(Progress::Whole(Head { source, bytes: length }))
}

/// How long the addresses of a family are; `None` when there is no such family or transport.
fn addresses_bytes(family: u8) -> Option<usize> {
    match family {
        // Of an unknown kind: there may be something, but nobody can tell what.
        0x00 => Some(0),
        0x11 | 0x12 => Some(12),
        0x21 | 0x22 => Some(36),
        0x31 | 0x32 => Some(216),
        _ => None,
    }
}

fn block_source(family: u8, block: &[u8]) -> Option<Source> {
    let port = |at: usize| {
        let bytes = block.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    };
    Some(match family >> 4 {
        1 => {
            let ip = Ipv4Addr::from(*block.first_chunk::<4>()?);
            Source::Client(SocketAddr::new(IpAddr::V4(ip), port(8)?))
        }
        2 => {
            let ip = Ipv6Addr::from(*block.first_chunk::<16>()?);
            Source::Client(SocketAddr::new(IpAddr::V6(ip), port(32)?))
        }
        3 => Source::Unix,
        _ => Source::Connection,
    })
}

/// Goes through the further values: each a type, a length and so many bytes. Only the checksum is
/// looked at. (Behind addresses of an unknown kind nobody can tell where they begin.)
fn check(head: &[u8], mut values: &[u8]) -> Result<(), Invalid> {
    if head.get(13) == Some(&0) {
        return Ok(());
    }
    while let Some((&[kind, high, low], rest)) = values.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, next) = rest.split_at_checked(length).ok_or(Invalid::Short("values"))?;
        if kind == CRC32C {
            let told = value.try_into().map(u32::from_be_bytes).map_err(|_| Invalid::Checksum)?;
            if told != checksum(head, head.len() - next.len() - length) {
                return Err(Invalid::Checksum);
            }
        }
        values = next;
    }
    if values.is_empty() { Ok(()) } else { Err(Invalid::Short("values")) }
}

/// CRC-32C of a head, in which the four bytes at `field` count as zeros.
fn checksum(head: &[u8], field: usize) -> u32 {
    let crc = head.iter().enumerate().fold(!0, |crc: u32, (at, byte)| {
        let byte = if (field..field + 4).contains(&at) { 0 } else { *byte };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

#[cfg(test)]
mod tests;
