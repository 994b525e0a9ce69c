//! A file that has every key of the one that Pushpin 1.36 is shipped with, with the same values
//! (but for ports and folders), and the file that it includes.

use super::{Folder, has, run};
use crate::harness::{Answer, Backend, Client, Publisher, Server, chunk};

/// `HTTP` and `CONTROL` are ports; folders are below the working directory.
const SHIPPED: &str = "\
[global]
include={libdir}/internal.conf
rundir=run
ipc_prefix=pushpin-
port_offset=0
stats_connection_ttl=120

[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port=HTTP
#https_ports=443
#local_ports={rundir}/{ipc_prefix}server
logdir=log
log_level=2
client_buffer_size=8192
client_maxconn=50000
condure_bin=condure
mongrel2_bin=mongrel2
m2sh_bin=m2sh
zurl_bin=zurl

[proxy]
# relative to this file
routesfile=routes
debug=false
auto_cross_origin=false
accept_x_forwarded_protocol=false
set_x_forwarded_protocol=proto-only
# for example \"truncate:0,append\"
x_forwarded_for=
x_forwarded_for_trusted=
orig_headers_need_mark=
accept_pushpin_route=false
log_from=false
log_user_agent=false
sig_iss=pushpin
sig_key=changeme
upstream_key=
sockjs_url=http://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js
updates_check=off
organization_name=

[handler]
#ipc_file_mode=777
push_in_spec=tcp://127.0.0.1:5560
push_in_sub_specs=tcp://127.0.0.1:5562
push_in_sub_connect=false
push_in_http_addr=127.0.0.1
push_in_http_port=CONTROL
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
stats_spec=ipc://{rundir}/{ipc_prefix}stats
command_spec=COMMANDS
message_rate=2500
message_hwm=25000
#message_block_size=
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=10
stats_format=tnetstring
";

#[test]
fn nothing_is_wrong_with_it() {
    let folder = Folder::new();
    let text = SHIPPED.replace("HTTP", "7999").replace("CONTROL", "5561");
    let text = text.replace("COMMANDS", "tcp://127.0.0.1:5563");
    folder.write("conf/pushpin.conf", &text);
    folder.write("conf/routes", "* test\n");
    let config = ["check", "--strict", "--config", "conf/pushpin.conf"];
    let (code, said) = run(folder.linchpin().args(config));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("error") && !said.contains("warning"), "{said}");
    has(&said, &["[runner] services: is about", "[proxy] updates_check: is obsolete"]);
    // Each key that is no comment is told of, or is an option.
    let (_, shown) = run(folder.linchpin().args(config).arg("--effective"));
    for line in text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
        let (key, value) = line.split_once('=').expect("an assignment");
        let told = said.contains(&format!("] {key}: is "));
        let off = ["", "false", "0"].contains(&value);
        assert!(told || off || shown.contains(&format!("\n{key}=")), "{line}\n{said}{shown}");
    }
}

#[tokio::test]
async fn a_program_with_it_serves_as_pushpin_does() {
    let folder = Folder::new();
    let backend = Backend::answering(|request| match &*request.target {
        "/sig" => Answer::ok(request.header("grip-sig").unwrap_or_default()),
        _ => Answer::hold("stream", "c", "held\n"),
    });
    let text = SHIPPED.replace("HTTP", "127.0.0.1:0").replace("CONTROL", "0");
    folder.write("pushpin.conf", &text.replace("COMMANDS", "ipc://{rundir}-{ipc_prefix}commands"));
    folder.write("routes", &format!("* {}\n", backend.address));
    let mut server = Server::configured(folder.pushpin());
    let mut client = Client::get(server.http, "/sig").await;
    let (_, token) = client.response().await;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_issuer(&["pushpin"]);
    let key = jsonwebtoken::DecodingKey::from_secret(b"changeme");
    jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).expect("a signature");
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("held\n"));
    Publisher::new(&server).stream("c", "published\n").await;
    assert_eq!(client.chunk().await, chunk("published\n"));
    server.wait_for_line("commands on ipc://run-pushpin-commands");
}
