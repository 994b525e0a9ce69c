//! Each option that is set in vain is told, and nothing else.

use clap::Parser;

use super::*;
use crate::cli::{Cli, settings};

fn said(arguments: &[&str]) -> Vec<String> {
    let given = [&["linchpin", "--route=* test"], arguments].concat();
    let cli = Cli::try_parse_from(given).unwrap();
    let mut found = Findings::default();
    settings(&cli.run, &mut found).unwrap();
    found.warnings.iter().map(|problem| problem.place().to_owned()).collect()
}

#[test]
fn options_of_tls_want_a_port_of_tls() {
    let all = [
        "--tls-min-version=1.3",
        "--tls-client-auth=required",
        "--tls-client-ca=ca.pem",
        "--tls-client-cert-header",
    ];
    let flags = all.map(|option| option.split('=').next().unwrap());
    assert_eq!(said(&all), flags);
    assert!(said(&[&all[..], &["--https-port=8443"]].concat()).is_empty());
    let header = ["--https-port=8443", "--tls-client-cert-header"];
    assert_eq!(said(&header), ["--tls-client-cert-header"], "nobody is asked for one");
    assert!(said(&["--tls-min-version=1.2", "--tls-client-auth=none"]).is_empty());
}

#[test]
fn each_option_that_wants_another_one() {
    for (alone, with) in [
        ("--proxy-protocol-from=10.0.0.0/8", "--proxy-protocol=on"),
        ("--compression-min-bytes=1", "--allow-compression"),
        ("--x-forwarded-for-trusted=append", "--upstream-key=k"),
        ("--message-block-size=1", "--message-rate=1"),
    ] {
        let flag = alone.split('=').next().unwrap();
        assert_eq!(said(&[alone]), [flag]);
        assert!(said(&[alone, with]).is_empty(), "{alone} {with}");
    }
    let rings = ["--ring-bytes=1", "--ring-age=1", "--ring-total-bytes=1"];
    assert!(said(&rings).is_empty());
    let none = [&rings[..], &["--ring-items=0"]].concat();
    assert_eq!(said(&none), ["--ring-bytes", "--ring-age", "--ring-total-bytes"]);
}

#[test]
fn what_is_as_it_is_anyway_says_nothing() {
    let default: ListeningArgs = default().unwrap();
    let bytes = format!("--compression-min-bytes={}", crate::limits::COMPRESSION_BYTES_MIN);
    let from = format!("--proxy-protocol-from={}", default.proxy_protocol_from.join(","));
    assert!(said(&[&bytes, &from]).is_empty());
}
