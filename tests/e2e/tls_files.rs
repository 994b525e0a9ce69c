//! Files of certificates: what is said of those that cannot be used, or not for long, and of those
//! that are replaced.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::harness::authority::{Authority, replace};
use super::harness::server::command;
use super::harness::{Server, within};

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let Output { status, stderr, .. } =
        command.args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
    assert!(status.success(), "{arguments}: {}", String::from_utf8_lossy(&stderr));
}

/// A folder with one good certificate and one of each kind of mistake.
fn folder_of_mistakes(authority: &Authority) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    authority.sign(&["good.test"]).write(folder.path(), "good.test");
    authority.sign_until(&["old.test"], 2010).write(folder.path(), "old.test");
    let chain = authority.sign(&["chain.test"]);
    chain.write(folder.path(), "chain.test");
    replace(&at("chain.test.crt"), &format!("{}{}", authority.pem(), chain.certificate));
    for name in ["new", "old"] {
        std::fs::copy(at("good.test.crt"), at(&format!("{name}-enc.test.crt"))).expect("copied");
    }
    let pass = "-aes128 -passout pass:x";
    openssl(folder.path(), &format!("pkey -in good.test.key {pass} -out new-enc.test.key"));
    let traditional = format!("pkey -in good.test.key -traditional {pass} -out old-enc.test.key");
    openssl(folder.path(), &traditional);
    let request = "req -x509 -noenc -days 30 -subj /CN=a -newkey";
    let files = "-keyout big.test.key -out big.test.crt";
    openssl(folder.path(), &format!("{request} ec -pkeyopt ec_paramgen_curve:secp521r1 {files}"));
    let files = "-keyout small.test.key -out small.test.crt";
    openssl(folder.path(), &format!("{request} rsa:1024 {files}"));
    std::fs::copy(at("good.test.key"), at("der.test.key")).expect("copied");
    openssl(folder.path(), "x509 -in good.test.crt -outform der -out der.test.crt");
    folder
}

const MISTAKES: [&str; 7] = [
    "new-enc.test.key: the key is encrypted, and there is nobody to ask",
    "old-enc.test.key: the key is encrypted, and there is nobody to ask",
    "big.test.key: a key of this kind cannot be used",
    "small.test.key: a key of this kind cannot be used",
    "chain.test.crt: certificate 2 is that of the key",
    "der.test.crt: expected PEM with certificates: it looks like DER",
    "old.test.crt: the certificate expired ",
];

#[test]
fn check_tells_what_cannot_be_used() {
    let authority = Authority::new("servers");
    let folder = folder_of_mistakes(&authority);
    let check = |arguments: &[&str]| {
        let mut command = command();
        command.args(["check", "--route", "* test", "--certs"]);
        let output = command.arg(folder.path()).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, text) = check(&["--https-port", "443"]);
    assert_eq!(code, Some(0), "{text}");
    for mistake in MISTAKES {
        assert!(text.contains(mistake), "{mistake:?} is not in {text}");
    }
    assert!(text.contains("there is no default.crt in"), "{text}");
    assert_eq!(text.matches("warning: ").count(), MISTAKES.len() + 1, "{text}");
    for name in ["good.test", "old.test"] {
        std::fs::remove_file(folder.path().join(format!("{name}.key"))).expect("removed");
    }
    let (code, text) = check(&["--https-port", "443", "--backend-ca", "nowhere.pem"]);
    assert_eq!(code, Some(1), "{text}");
    for problem in
        ["error: --certs: no usable certificate in", "error: --backend-ca: failed to open nowhere"]
    {
        assert!(text.contains(problem), "{problem:?} is not in {text}");
    }
    let (_, text) = check(&[]);
    assert!(!text.contains("certificate"), "{text}");
}

fn serve(folder: &Path, more: &[&str]) -> Server {
    let certs = folder.to_string_lossy().into_owned();
    let arguments = [&["--https-port", "0", "--certs", &certs], more].concat();
    Server::start_with(&["* test".to_owned()], &arguments)
}

/// The certificate that is shown for a name by a listener.
async fn shown(
    authority: &Authority,
    port: u16,
    name: &'static str,
) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it accepts");
    let connected = TlsConnector::from(config).connect(name.try_into().expect("a name"), stream);
    let stream = within("the TLS handshake", connected).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

#[tokio::test]
async fn a_start_tells_of_what_is_left_out_and_of_what_has_expired() {
    let authority = Authority::new("servers");
    let folder = folder_of_mistakes(&authority);
    let mut server = serve(folder.path(), &[]);
    for mistake in &MISTAKES[..MISTAKES.len() - 1] {
        server.wait_for_line(mistake);
    }
    server.wait_for_line("old.test.crt: the certificate expired ");
    let port = server.https.expect("it serves TLS").port();
    assert!(shown(&authority, port, "good.test").await.is_some());
}

/// Whichever thread does a handshake, at whichever port: the file was read once, for all of them.
#[tokio::test]
async fn what_is_replaced_is_told_once() {
    let authority = Authority::new("servers");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = authority.sign(&["a.test"]).write(folder.path(), "a.test");
    let mut server = serve(folder.path(), &["--workers", "4", "--https-port", "127.0.0.1:0"]);
    let lines = server.banner("listening on https://");
    let ports: Vec<u16> =
        lines.iter().map(|line| line.rsplit(':').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ports.len(), 2, "{lines:?}");
    let first = shown(&authority, ports[0], "a.test").await;
    replace(&file, "nothing");
    // Nobody needs to connect for it, and nobody has to wait.
    server.hang_up();
    server.wait_for_line("certificate not taken over");
    for _ in 0..12 {
        for port in &ports {
            assert_eq!(shown(&authority, *port, "a.test").await, first);
        }
    }
    let second = authority.sign(&["a.test"]);
    second.write(folder.path(), "a.test");
    server.hang_up();
    server.wait_for_line("certificate a.test read again");
    for port in &ports {
        within("the new certificate", async {
            while shown(&authority, *port, "a.test").await.as_ref() != Some(&second.der) {}
        })
        .await;
    }
    assert_eq!(server.counted("certificates_refused"), 1);
    assert_eq!(server.counted("certificates_loaded"), 1);
    for mark in ["certificate not taken over", "certificate a.test read again"] {
        assert_eq!(server.banner(mark).len(), 1, "{mark}");
    }
}
