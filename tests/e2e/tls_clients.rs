//! TLS at the clients' side, further: files that are replaced, versions, resumption over several
//! workers, certificates of clients, and what goes wrong.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::authority::{Authority, Signed, replace};
use super::harness::{Answer, Backend, Client, Server, within};

const NAME: &str = "a.example";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

struct Secure {
    server: Server,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Secure {
    /// A server with a certificate for [`NAME`], and further arguments; `{}` in them is the folder.
    fn start(route: String, arguments: &[&str]) -> Secure {
        Secure::prepared(route, arguments, |_| {})
    }

    fn prepared(route: String, arguments: &[&str], prepare: impl Fn(&Path)) -> Secure {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("servers");
        authority.sign(&[NAME]).write(folder.path(), NAME);
        prepare(folder.path());
        let at = folder.path().to_string_lossy().into_owned();
        let own: Vec<String> = arguments.iter().map(|text| text.replace("{}", &at)).collect();
        let own = own.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["--https-port", "0", "--certs", &at].into_iter().chain(own).collect();
        let server = Server::start_with(&[route], &arguments);
        Secure { server, authority, folder }
    }

    fn config(&self, shown: Option<&Signed>) -> ClientConfig {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der()).expect("a root");
        let config = ClientConfig::builder().with_root_certificates(roots);
        match shown {
            None => config.with_no_client_auth(),
            Some(signed) => {
                let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![signed.der.clone()], key).expect("usable")
            }
        }
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as(config, NAME).await
    }

    async fn connect_as(
        &self,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let address = self.server.https.expect("it serves TLS");
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connector = TlsConnector::from(Arc::clone(config));
        within("the TLS handshake", connector.connect(name, stream)).await
    }

    /// A request over a connection of its own: the certificate that was seen, and how the session
    /// began. `None` if it came to nothing.
    async fn ask(&self, config: &Arc<ClientConfig>) -> Option<(CertificateDer<'static>, bool)> {
        self.ask_as(config, NAME).await
    }

    async fn ask_as(
        &self,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Option<(CertificateDer<'static>, bool)> {
        let stream = self.connect_as(config, name).await.ok()?;
        let session = stream.get_ref().1;
        let seen = session.peer_certificates()?.first()?.clone().into_owned();
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let mut client = Client::over(stream);
        client.send(GET).await;
        let rest = client.some().await;
        rest.starts_with(b"HTTP/1.1 200").then_some((seen, resumed))
    }

    /// Asks until `done` with what was seen; each time over a connection of its own.
    async fn until(
        &self,
        what: &str,
        config: &Arc<ClientConfig>,
        done: impl Fn(Option<CertificateDer<'static>>) -> bool,
    ) {
        within(what, async {
            while !done(self.ask(config).await.map(|(seen, _)| seen)) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

fn test_route() -> String {
    "* test".to_owned()
}

/// Without resumption: each handshake shows the certificate.
fn fresh(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_served_and_connections_stay() {
    let secure = Secure::start(test_route(), &[]);
    let config = fresh(secure.config(None));
    let mut before = Client::over(secure.connect(&config).await.expect("TLS"));
    let second = secure.authority.sign(&[NAME]);
    second.write(secure.folder.path(), NAME);
    secure.until("the new certificate", &config, |seen| seen == Some(second.der.clone())).await;
    before.send(GET).await;
    assert_eq!(before.response().await.0.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_broken_or_deleted_certificate_leaves_the_one_before() {
    let mut secure = Secure::start(test_route(), &[]);
    let config = fresh(secure.config(None));
    let (first, _) = secure.ask(&config).await.expect("served");
    let file = secure.folder.path().join(format!("{NAME}.crt"));
    replace(&file, "-----BEGIN CERTIFICATE-----\nbroken\n");
    // It is looked at with the handshakes to come.
    let probe = secure.authority.sign(&["b.example"]);
    probe.write(secure.folder.path(), "b.example");
    within("the new name", async { while secure.ask_as(&config, "b.example").await.is_none() {} })
        .await;
    secure.server.wait_for_line("certificate not taken over");
    assert_eq!(secure.ask(&config).await.expect("served").0, first);
    std::fs::remove_file(&file).expect("deleted");
    std::fs::remove_file(file.with_extension("key")).expect("deleted");
    let probe = secure.authority.sign(&["c.example"]);
    probe.write(secure.folder.path(), "c.example");
    within("another name", async { while secure.ask_as(&config, "c.example").await.is_none() {} })
        .await;
    assert_eq!(secure.ask(&config).await.expect("served").0, first);
}

/// A client that names an address sends no name at all.
#[tokio::test]
async fn the_default_of_the_port_is_for_all_other_names_and_for_none() {
    let secure = Secure::start(test_route(), &[]);
    let config = fresh(secure.config(None));
    assert!(secure.ask_as(&config, "127.0.0.1").await.is_none());
    let port = secure.server.https.expect("it serves TLS").port();
    let names = ["127.0.0.1", "other.example", "x.b.example", "b.example"];
    let default = secure.authority.sign(&names);
    secure.authority.sign(&["x.y.example"]).write(secure.folder.path(), "_.y.example");
    default.write(secure.folder.path(), &format!("default_{port}"));
    within("the default", async { while secure.ask_as(&config, "127.0.0.1").await.is_none() {} })
        .await;
    for name in names {
        let seen = secure.ask_as(&config, name).await.map(|(seen, _)| seen);
        assert_eq!(seen.as_ref(), Some(&default.der), "{name}");
    }
    // A name with a certificate of its own, and one with its branch's, keep them.
    for (name, common) in [(NAME, true), ("x.y.example", true), ("x.x.y.example", false)] {
        let seen = secure.ask_as(&config, name).await.map(|(seen, _)| seen);
        assert_eq!(seen.is_some_and(|seen| seen != default.der), common, "{name}");
    }
}

#[tokio::test]
async fn who_asks_for_a_name_without_certificate_gets_an_alert() {
    let mut secure = Secure::start(test_route(), &[]);
    let config = Arc::new(secure.config(None));
    for name in ["other.example", "127.0.0.1", "x.a.example"] {
        let error = secure.connect_as(&config, name).await.expect_err(name);
        assert!(error.to_string().contains("fatal alert"), "{name}: {error}");
    }
    assert_eq!(secure.server.counted("tls_failed_no_certificate"), 3);
}

#[tokio::test]
async fn who_does_not_trust_us_is_counted() {
    let mut secure = Secure::start(test_route(), &["--workers", "1"]);
    let good = Arc::new(secure.config(None));
    let known = std::mem::replace(&mut secure.authority, Authority::new("others"));
    let wary = Arc::new(secure.config(None));
    secure.authority = known;
    assert!(secure.connect(&wary).await.is_err());
    // What came before has been seen when this is answered.
    assert!(secure.ask(&good).await.is_some());
    assert_eq!(secure.server.counted("tls_failed_refused"), 1);
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let mut secure = Secure::start(test_route(), &[]);
    let mut client = Client::get(secure.server.https.expect("it serves TLS"), "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
    assert_eq!(body, "This port speaks HTTPS.\n");
    client.expect_closed().await;
    assert_eq!(secure.server.counted("tls_failed_not_tls"), 1);
}

#[tokio::test]
async fn the_lowest_version_is_kept_to() {
    let versions = |config: &Secure, versions: &[&'static rustls::SupportedProtocolVersion]| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(config.authority.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    };
    let mut secure = Secure::start(test_route(), &["--tls-min-version", "1.3"]);
    let (older, newer) = (&[&rustls::version::TLS12], &[&rustls::version::TLS13]);
    assert!(secure.ask(&versions(&secure, newer)).await.is_some());
    assert!(secure.ask(&versions(&secure, older)).await.is_none());
    assert_eq!(secure.server.counted("tls_failed_incompatible"), 1);
    let secure = Secure::start(test_route(), &[]);
    assert!(secure.ask(&versions(&secure, newer)).await.is_some());
    assert!(secure.ask(&versions(&secure, older)).await.is_some());
}

/// With several workers a client comes back to another one most of the time.
#[tokio::test]
async fn sessions_are_resumed_by_any_worker() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut secure = Secure::start(test_route(), &["--workers", "4"]);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(secure.authority.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[version]).expect("a version");
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        assert_eq!(secure.ask(&config).await.map(|(_, resumed)| resumed), Some(false));
        for _ in 0..20 {
            assert_eq!(secure.ask(&config).await.map(|(_, resumed)| resumed), Some(true));
        }
        assert_eq!(secure.server.counted("tls_resumed"), 20);
    }
}

/// Who comes back after a certificate was replaced need not do the whole handshake.
#[tokio::test]
async fn sessions_outlive_certificates() {
    let mut secure = Secure::start(test_route(), &["--workers", "2"]);
    let config = Arc::new(secure.config(None));
    let (first, _) = secure.ask(&config).await.expect("served");
    let second = secure.authority.sign(&[NAME]);
    second.write(secure.folder.path(), NAME);
    secure.server.wait_for_line("certificate a.example read again");
    // Each thread has been told of it when it is served by either.
    let newcomer = fresh(secure.config(None));
    for _ in 0..8 {
        secure.until("the new one", &newcomer, |seen| seen == Some(second.der.clone())).await;
    }
    for _ in 0..8 {
        assert_eq!(secure.ask(&config).await, Some((first.clone(), true)));
    }
}

/// OpenSSL, with tickets and without: the other client that most have.
#[tokio::test]
async fn openssl_resumes_too() {
    let secure = Secure::start(test_route(), &["--workers", "4"]);
    let address = secure.server.https.expect("it serves TLS").to_string();
    for more in [&["-tls1_2"][..], &["-tls1_2", "-no_ticket"]] {
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", NAME, "-reconnect"]);
        command.args(more).stdin(std::process::Stdio::null());
        let output = command.output().expect("openssl runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let count = |mark: &str| text.lines().filter(|line| line.starts_with(mark)).count();
        assert_eq!((count("New, TLS"), count("Reused, TLS")), (1, 5), "{more:?}: {text}");
    }
}

fn with_clients(mode: &'static str, more: &[&str], clients: &Authority, route: String) -> Secure {
    let arguments = ["--tls-client-auth", mode, "--tls-client-ca", "{}/clients.pem"];
    let pem = clients.pem();
    Secure::prepared(route, &[&arguments, more].concat(), |folder| {
        std::fs::write(folder.join("clients.pem"), &pem).expect("written");
    })
}

#[tokio::test]
async fn certificates_of_clients_may_be_required() {
    let clients = Authority::new("clients");
    let mut secure = with_clients("required", &[], &clients, test_route());
    let (known, old) = (clients.sign(&["alice"]), clients.sign_until(&["bob"], 2010));
    let stranger = Authority::new("strangers").sign(&["mallory"]);
    assert!(secure.ask(&Arc::new(secure.config(Some(&known)))).await.is_some());
    for shown in [None, Some(&old), Some(&stranger)] {
        assert!(secure.ask(&Arc::new(secure.config(shown))).await.is_none());
    }
    assert_eq!(secure.server.counted("tls_failed_client_certificate"), 3);
}

#[tokio::test]
async fn certificates_of_clients_may_be_optional() {
    let clients = Authority::new("clients");
    let secure = with_clients("optional", &[], &clients, test_route());
    let known = clients.sign(&["alice"]);
    let stranger = Authority::new("strangers").sign(&["mallory"]);
    assert!(secure.ask(&Arc::new(secure.config(Some(&known)))).await.is_some());
    assert!(secure.ask(&Arc::new(secure.config(None))).await.is_some());
    assert!(secure.ask(&Arc::new(secure.config(Some(&stranger)))).await.is_none());
}

/// Who has a ticket from before does not get past the new authorities with it.
#[tokio::test]
async fn other_authorities_end_what_was_begun_under_the_ones_before() {
    let clients = Authority::new("clients");
    let secure = with_clients("required", &["--workers", "1"], &clients, test_route());
    let config = Arc::new(secure.config(Some(&clients.sign(&["alice"]))));
    assert!(secure.ask(&config).await.is_some());
    assert_eq!(secure.ask(&config).await.map(|(_, resumed)| resumed), Some(true));
    let others = Authority::new("other clients");
    replace(&secure.folder.path().join("clients.pem"), &others.pem());
    let newcomer = fresh(secure.config(Some(&others.sign(&["carol"]))));
    secure.until("the new authority", &newcomer, |seen| seen.is_some()).await;
    assert!(secure.ask(&config).await.is_none());
    // A file that is broken changes nothing.
    replace(&secure.folder.path().join("clients.pem"), "nothing");
    let mut secure = secure;
    within("the warning", async {
        while !secure.server.has_printed("authorities of clients not taken over") {
            assert!(secure.ask(&newcomer).await.is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn backends_are_told_of_the_certificate_if_that_is_wanted() {
    let clients = Authority::new("clients");
    let mut backend = Backend::answering(|_| Answer::ok("seen"));
    let more = ["--tls-client-cert-header"];
    let secure = with_clients("optional", &more, &clients, backend.route("*", ""));
    let known = clients.sign(&["alice"]);
    let forged = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Client-Cert\r\n\
        Client-Cert: :Zm9yZ2Vk:\r\nclient-cert: :eA==:\r\nClient-Cert-Chain: :eA==:\r\n\r\n";
    for shown in [Some(&known), None] {
        let config = Arc::new(secure.config(shown));
        let mut client = Client::over(secure.connect(&config).await.expect("TLS"));
        client.send(forged).await;
        client.response().await;
        let request = backend.seen().await;
        let expected = shown.map(|signed| format!(":{}:", base64(&signed.der)));
        assert_eq!(request.header("client-cert"), expected.as_deref());
        assert!(request.all("client-cert-chain").is_empty());
    }
    // Nor over plain HTTP.
    let mut client = Client::connect(secure.server.http).await;
    client.send(forged).await;
    client.response().await;
    assert!(backend.seen().await.all("client-cert").is_empty());
}

fn base64(bytes: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(bytes)
}

#[tokio::test]
async fn what_contradicts_itself_does_not_start() {
    for (arguments, mark) in [
        (&["--tls-client-auth", "required"][..], "there is no --tls-client-ca"),
        (&["--tls-client-ca", "x.pem"], "clients are not asked for certificates"),
        (&["--tls-client-auth", "optional", "--tls-client-ca", "x.pem"], "failed to open x.pem"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        Authority::new("servers").sign(&[NAME]).write(folder.path(), NAME);
        let mut command = super::harness::server::command();
        command.args(["--port", "0", "--control", "127.0.0.1:0", "--https-port", "0", "--certs"]);
        let output = command.arg(folder.path()).args(arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(mark), "{arguments:?}: {text}");
    }
}
