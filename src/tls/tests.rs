//! Certificates made on the spot, in folders of their own; handshakes in memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::{ClientConnection, RootCertStore, ServerConnection};
use rustls_pki_types::CertificateDer;

use super::certificates::Refreshed;
use super::*;

fn make(folder: &Path, name: &str, domain: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec![domain.to_owned()]).unwrap();
    fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn leaf(
    certificates: &Certificates,
    sni: Option<&str>,
    port: u16,
) -> Option<CertificateDer<'static>> {
    certificates.find(sni, port).map(|key| key.cert[0].clone())
}

#[test]
fn exact_then_wildcard_then_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let exact = make(folder.path(), "www.example.com", "www.example.com");
    let wild = make(folder.path(), "_.example.com", "*.example.com");
    let port = make(folder.path(), "default_8443", "x.test");
    let any = make(folder.path(), "default", "y.test");
    fs::write(folder.path().join("README.md"), "not a certificate").unwrap();
    let (certificates, problems) = Certificates::load(folder.path());
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(certificates.len(), 4);
    let chosen = |sni, port| leaf(&certificates, sni, port).unwrap();
    assert_eq!(chosen(Some("www.example.com"), 1), exact);
    assert_eq!(chosen(Some("WWW.Example.com"), 1), exact);
    assert_eq!(chosen(Some("api.example.com"), 1), wild);
    // One label only.
    assert_eq!(chosen(Some("x.b.example.com"), 8443), port);
    assert_eq!(chosen(Some("example.com"), 8443), port);
    assert_eq!(chosen(None, 8443), port);
    assert_eq!(chosen(None, 1), any);
    assert_eq!(chosen(Some("../default"), 1), any);
}

#[test]
fn without_a_default_unknown_names_get_none() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "a.test", "a.test");
    let (certificates, _) = Certificates::load(folder.path());
    assert!(leaf(&certificates, Some("b.test"), 443).is_none());
    assert!(leaf(&certificates, None, 443).is_none());
}

#[test]
fn all_problems_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    make(folder.path(), "good.test", "good.test");
    make(folder.path(), "nokey.test", "nokey.test");
    fs::remove_file(at("nokey.test.key")).unwrap();
    make(folder.path(), "nocrt.test", "nocrt.test");
    fs::remove_file(at("nocrt.test.crt")).unwrap();
    make(folder.path(), "mixed.test", "mixed.test");
    fs::copy(at("good.test.key"), at("mixed.test.key")).unwrap();
    make(folder.path(), "text.test", "text.test");
    fs::write(at("text.test.crt"), "hello").unwrap();
    fs::write(at("bad\u{7}name.crt"), "").unwrap();
    let (certificates, problems) = Certificates::load(folder.path());
    assert_eq!(certificates.len(), 1);
    assert_eq!(problems.len(), 5, "{problems:?}");
    let told = |test: fn(&Problem) -> bool| problems.iter().any(test);
    assert!(told(
        |p| matches!(p, Problem::MissingKey { file, .. } if file.ends_with("nokey.test.crt"))
    ));
    assert!(told(
        |p| matches!(p, Problem::MissingCertificate { file, .. } if file.ends_with("nocrt.test.key"))
    ));
    assert!(told(|p| matches!(p, Problem::Pair { file, .. } if file.ends_with("mixed.test.crt"))));
    assert!(told(
        |p| matches!(p, Problem::Content { file, .. } if file.ends_with("text.test.crt"))
    ));
    assert!(told(|p| matches!(p, Problem::Name { .. })));
    assert!(problems.iter().all(|p| p.to_string().contains(folder.path().to_str().unwrap())));
}

#[test]
fn a_missing_folder_is_told() {
    let (certificates, problems) = Certificates::load(Path::new("/nonexistent/certs"));
    assert!(certificates.is_empty());
    assert!(matches!(problems[..], [Problem::Folder { .. }]));
}

/// Gives a file another time of writing, as a later write would.
fn touch(file: &Path, later_s: u64) {
    let time = SystemTime::now() + Duration::from_secs(later_s);
    fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn newer_files_are_picked_up_and_gone_or_broken_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let first = make(folder.path(), "a.test", "a.test");
    let (certificates, _) = Certificates::load(folder.path());
    assert!(certificates.refresh().is_none());
    let second = make(folder.path(), "a.test", "a.test");
    touch(&folder.path().join("a.test.crt"), 5);
    let Refreshed { certificates: newer, taken, problems } = certificates.refresh().unwrap();
    assert_eq!((taken, problems.len()), (vec!["a.test".to_owned()], 0));
    assert_eq!(leaf(&certificates, Some("a.test"), 1), Some(first));
    assert_eq!(leaf(&newer, Some("a.test"), 1), Some(second.clone()));
    fs::write(folder.path().join("a.test.crt"), "broken").unwrap();
    touch(&folder.path().join("a.test.crt"), 10);
    let Refreshed { certificates: broken, taken, problems } = newer.refresh().unwrap();
    assert_eq!((taken.len(), problems.len()), (0, 1));
    assert_eq!(leaf(&broken, Some("a.test"), 1), Some(second.clone()));
    assert!(broken.refresh().is_none(), "told once");
    fs::remove_file(folder.path().join("a.test.crt")).unwrap();
    fs::remove_file(folder.path().join("a.test.key")).unwrap();
    assert!(broken.refresh().is_none());
    assert_eq!(leaf(&broken, Some("a.test"), 1), Some(second));
}

/// A whole handshake in memory; gives the certificate that the client saw and the protocol.
fn shake(
    server: &ServerTls,
    client: &Arc<rustls::ClientConfig>,
    name: &'static str,
) -> Result<(CertificateDer<'static>, Option<Vec<u8>>), rustls::Error> {
    let mut config = rustls::ClientConfig::clone(client);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap())?;
    let mut server = ServerConnection::new(server.config())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets()?;
    }
    let seen = client.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((seen, client.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn handshakes() {
    let folder = tempfile::tempdir().unwrap();
    let ours = make(folder.path(), "a.test", "a.test");
    let (certificates, _) = Certificates::load(folder.path());
    let server = ServerTls::new(&Edge::new(certificates).unwrap(), 443).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ours.clone()).unwrap();
    let knows = ClientTls::with_roots(roots).unwrap();
    let knows_not = ClientTls::with_roots(RootCertStore::empty()).unwrap();
    let (seen, protocol) = shake(&server, &knows.verifying, "a.test").unwrap();
    assert_eq!((seen, protocol.as_deref()), (ours.clone(), Some(&b"http/1.1"[..])));
    assert!(shake(&server, &knows.verifying, "b.test").is_err(), "no certificate for it");
    assert!(shake(&server, &knows_not.verifying, "a.test").is_err(), "unknown root");
    assert_eq!(shake(&server, &knows_not.insecure, "a.test").unwrap().0, ours);
    let theirs = make(folder.path(), "b.test", "b.test");
    let server =
        ServerTls::new(&Edge::new(Certificates::load(folder.path()).0).unwrap(), 443).unwrap();
    assert_eq!(shake(&server, &knows.insecure, "b.test").unwrap().0, theirs);
}

#[test]
fn the_systems_roots_may_be_missing() {
    // Whatever this machine has: it is not an error.
    assert!(ClientTls::from_system(Vec::new()).is_ok());
}
