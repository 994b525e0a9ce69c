//! The specification's examples, what is refused, and round trips.

use super::*;
use proptest::prelude::*;

const MAX: usize = 4096;

fn source(bytes: &[u8]) -> Result<Source, Invalid> {
    match read(bytes, MAX)? {
        Progress::Whole(head) => {
            assert_eq!(head.bytes, bytes.len(), "all of it");
            Ok(head.source)
        }
        Progress::Needs(count) => panic!("{count} bytes are needed"),
    }
}

fn client(address: &str) -> Result<Source, Invalid> {
    Ok(Source::Client(address.parse().unwrap()))
}

/// A head of version 2.
fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
}

fn block(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let bytes = [octets(source.ip()), octets(destination.ip()), ports].concat();
    (if source.is_ipv4() { 0x11 } else { 0x21 }, bytes)
}

/// A further value.
fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, bytes].concat()
}

#[test]
fn lines() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", client("192.0.2.1:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", {
            client("255.255.255.255:65535")
        }),
        ("PROXY TCP6 2001:db8::1 ::1 1 0\r\n", client("[2001:db8::1]:1")),
        ("PROXY UNKNOWN\r\n", Ok(Source::Connection)),
        ("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n", Ok(Source::Connection)),
    ] {
        assert_eq!(source(line.as_bytes()), expected, "{line:?}");
    }
}

#[test]
fn lines_that_are_none() {
    let family = "TCP4, TCP6 or UNKNOWN";
    let address = "a source address of its family";
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n", "CR before LF"),
        ("PROXY TCP5 192.0.2.1 198.51.100.7 56324 443\r\n", family),
        ("PROXY tcp4 192.0.2.1 198.51.100.7 56324 443\r\n", family),
        ("PROXY \r\n", family),
        ("PROXY TCP4 2001:db8::1 ::1 1 1\r\n", address),
        ("PROXY TCP6 192.0.2.1 192.0.2.1 1 1\r\n", address),
        ("PROXY TCP4  192.0.2.1 192.0.2.1 1 1\r\n", address),
        ("PROXY TCP4 192.0.2.01 192.0.2.1 1 1\r\n", address),
        ("PROXY TCP4 192.0.2.1\r\n", "a destination address of its family"),
        ("PROXY TCP4 192.0.2.1 192.0.2.1 65536 1\r\n", "a source port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.1 +1 1\r\n", "a source port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.1 1 01\r\n", "a destination port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.1 1\r\n", "a destination port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.1 1 1 \r\n", "the end after the ports"),
    ] {
        assert_eq!(source(line.as_bytes()), Err(Invalid::Line(expected)), "{line:?}");
    }
    let not_ascii = b"PROXY UNKNOWN \xff\r\n";
    assert_eq!(source(not_ascii), Err(Invalid::Line("ASCII")));
}

#[test]
fn a_line_ends_within_its_bound() {
    let fits = format!("PROXY UNKNOWN{}\r\n", " ".repeat(LINE_BYTES_MAX - 15));
    assert_eq!(source(fits.as_bytes()), Ok(Source::Connection));
    let long = format!("PROXY UNKNOWN{}\r\n", " ".repeat(LINE_BYTES_MAX - 14));
    let expected = Err(Invalid::Line("its end within 107 bytes"));
    assert_eq!(read(long.as_bytes(), MAX), expected);
    // Known as soon as so many are there.
    assert_eq!(read(&long.as_bytes()[..LINE_BYTES_MAX], MAX), expected);
}

#[test]
fn what_is_something_else_is_told_at_its_first_byte() {
    for bytes in
        [&b"G"[..], b"GET / HTTP/1.1\r\n", b"PROXT", b"\x16\x03\x01", b"\r\n\r\n\0\r\nQUIT\r"]
    {
        assert_eq!(read(bytes, MAX), Err(Invalid::Missing), "{bytes:?}");
    }
    assert_eq!(read(b"", MAX), Ok(Progress::Needs(1)));
    reads_alike(b"PROXY UNKNOWN\r\n", Source::Connection);
}

#[test]
fn blocks() {
    let to = "198.51.100.7:443".parse().unwrap();
    let (family, bytes) = block("192.0.2.1:56324".parse().unwrap(), to);
    assert_eq!(source(&second(1, family, &bytes)), client("192.0.2.1:56324"));
    // Over UDP, as from HTTP/3.
    assert_eq!(source(&second(1, 0x12, &bytes)), client("192.0.2.1:56324"));
    let both = "[2001:db8::1]:7".parse().unwrap();
    let (family, bytes) = block(both, both);
    assert_eq!(source(&second(1, family, &bytes)), client("[2001:db8::1]:7"));
    assert_eq!(source(&second(1, 0x31, &[b'/'; 216])), Ok(Source::Unix));
    assert_eq!(source(&second(1, 0x00, b"any")), Ok(Source::Connection));
    // The proxy's own: for its checks of health.
    assert_eq!(source(&second(0, 0x00, b"")), Ok(Source::Connection));
    assert_eq!(source(&second(0, 0x11, b"any")), Ok(Source::Connection));
}

#[test]
fn blocks_that_are_none() {
    let v1 = [&SIGNATURE[..], &[0x11, 0x11, 0, 0]].concat();
    assert_eq!(source(&v1), Err(Invalid::Version(1)));
    assert_eq!(source(&second(2, 0x11, &[0; 12])), Err(Invalid::Command(2)));
    for family in [0x10, 0x01, 0x13, 0x41, 0xff] {
        assert_eq!(source(&second(1, family, &[0; 216])), Err(Invalid::Family(family)));
    }
    for (family, bytes) in [(0x11, 11), (0x21, 35), (0x31, 215)] {
        let head = second(1, family, &vec![0; bytes]);
        assert_eq!(source(&head), Err(Invalid::Short("addresses")), "{family}");
    }
    let head = second(1, 0x11, &[0; MAX - FIXED_BYTES + 1]);
    assert_eq!(read(&head[..FIXED_BYTES], MAX), Err(Invalid::TooLong(MAX)));
}

#[test]
fn further_values_are_skipped_but_must_fit() {
    let to = "198.51.100.7:443".parse().unwrap();
    let (family, bytes) = block("192.0.2.1:56324".parse().unwrap(), to);
    let values = [value(0x01, b"h2"), value(0xea, &[1; 300]), value(0x04, b"")].concat();
    let head = second(1, family, &[bytes.clone(), values].concat());
    assert_eq!(source(&head), client("192.0.2.1:56324"));
    for cut in [&[0x01][..], &[0x01, 0], &[0x01, 0, 1], &[0x01, 0, 2, b'h']] {
        let head = second(1, family, &[&bytes, cut].concat());
        assert_eq!(source(&head), Err(Invalid::Short("values")), "{cut:?}");
    }
}

#[test]
fn the_checksum_is_checked() {
    // The check value of CRC-32C.
    assert_eq!(checksum(b"123456789", 9), 0xe306_9283);
    let to = "198.51.100.7:443".parse().unwrap();
    let (family, bytes) = block("192.0.2.1:56324".parse().unwrap(), to);
    let values = [value(CRC32C, &[0; 4]), value(0x04, b"padding")].concat();
    let mut head = second(1, family, &[bytes.clone(), values].concat());
    let field = FIXED_BYTES + bytes.len() + 3;
    assert_eq!(source(&head), Err(Invalid::Checksum));
    let sum = checksum(&head, field);
    head[field..field + 4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(source(&head), client("192.0.2.1:56324"));
    let last = head.len() - 1;
    head[last] ^= 1;
    assert_eq!(source(&head), Err(Invalid::Checksum));
    let short = second(1, family, &[bytes, value(CRC32C, &[0; 3])].concat());
    assert_eq!(source(&short), Err(Invalid::Checksum));
}

/// However it is cut, and whatever follows.
fn reads_alike(head: &[u8], expected: Source) {
    for end in 0..head.len() {
        match read(&head[..end], MAX) {
            Ok(Progress::Needs(count)) => assert!(count > end && count <= head.len()),
            other => panic!("{other:?} after {end} of {} bytes", head.len()),
        }
    }
    let more = [head, b"PROXY GET"].concat();
    let whole = Head { source: expected, bytes: head.len() };
    assert_eq!(read(&more, MAX), Ok(Progress::Whole(whole)));
}

proptest! {
    #[test]
    fn written_and_read_again(
        v4: bool,
        from: ([u8; 16], u16),
        to: ([u8; 16], u16),
        values in prop::collection::vec((4_u8.., prop::collection::vec(any::<u8>(), 0..40)), 0..4),
    ) {
        let address = |(octets, port): ([u8; 16], u16)| {
            let [a, b, c, d, ..] = octets;
            let ip = if v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(octets) };
            SocketAddr::new(ip, port)
        };
        let (from, to) = (address(from), address(to));
        let family = if v4 { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()
        );
        reads_alike(line.as_bytes(), Source::Client(from));
        let (family, mut bytes) = block(from, to);
        values.iter().for_each(|(kind, each)| bytes.extend(value(*kind, each)));
        reads_alike(&second(1, family, &bytes), Source::Client(from));
    }

    #[test]
    fn nothing_makes_it_panic(
        begin in prop::sample::select(vec![&b""[..], WORD, SIGNATURE]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
        bytes_max in 0_usize..400,
    ) {
        let bytes = [begin, &rest].concat();
        if let Ok(Progress::Whole(head)) = read(&bytes, bytes_max) {
            prop_assert!(head.bytes <= bytes.len());
        }
    }
}
