//! nginx in its parts: the backend of all servers, a proxy before it, one of WebSockets, a server
//! with TLS, and pub/sub with the module nchan. One worker each, nothing logged, no limits that
//! would throttle.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure};

/// Where the distribution keeps the module.
const NCHAN: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
    "/usr/local/nginx/modules/ngx_nchan_module.so",
];
/// The channel of all that is held or published.
pub const CHANNEL: &str = "rates";
/// What the backend answers to a request that is to be held.
pub const GREETING: &str = "held\n";
/// The small body.
pub const SMALL: usize = 100;
/// The large body: 1 MB.
pub const LARGE: usize = 1_000_000;

/// Why nginx cannot take part, if it cannot.
pub fn missing() -> Option<String> {
    let why = || "nginx is not installed (Debian: apt-get install nginx-light)".to_owned();
    program().is_none().then(why)
}

/// Why nchan cannot take part, if it cannot.
pub fn nchan_missing() -> Option<String> {
    missing().or_else(|| {
        nchan().is_none().then(|| {
            "nginx's module nchan is not installed (Debian: apt-get install libnginx-mod-nchan)"
                .to_owned()
        })
    })
}

/// Looked for in the PATH, and where Debian keeps programs of the administrator.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join("nginx"))
        .find(|program| program.is_file())
}

fn nchan() -> Option<&'static str> {
    NCHAN.into_iter().find(|path| Path::new(path).is_file())
}

/// A body of so many bytes, different at every place that is likely to be mixed up.
pub fn body(size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 8);
    let mut line = 0;
    while out.len() < size {
        out.extend_from_slice(format!("{line:07}\n").as_bytes());
        line += 1;
    }
    out.truncate(size);
    out
}

/// The backend: `/hold` is to be held, `/small` and `/large` are plain bodies.
pub fn backend(folder: &Path, http: SocketAddr) -> Result<Command, Failure> {
    let large = folder.join("large");
    fs::write(&large, body(LARGE)).during(|| format!("writing {}", large.display()))?;
    // A line end inside quotes is one in the body.
    let small = String::from_utf8_lossy(&body(SMALL)).into_owned();
    let server = format!(
        "listen {http} backlog=4096;\n\
         location = /hold {{\n\
         add_header Grip-Hold stream;\n\
         add_header Grip-Channel {CHANNEL};\n\
         return 200 \"{GREETING}\";\n\
         }}\n\
         location = /small {{ return 200 \"{small}\"; }}\n\
         location = /large {{ alias {}; }}\n",
        large.display()
    );
    configured(folder, "", "", &server)
}

/// A proxy before a backend, with connections to it that stay open.
pub fn proxy(folder: &Path, http: SocketAddr, backend: SocketAddr) -> Result<Command, Failure> {
    let upstream = format!(
        "upstream backend {{\n\
         server {backend};\n\
         keepalive 2048;\n\
         keepalive_requests 1000000000;\n\
         keepalive_timeout 3600s;\n\
         }}\n"
    );
    let server = format!(
        "listen {http} backlog=4096;\n\
         location / {{\n\
         proxy_pass http://backend;\n\
         proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n\
         proxy_max_temp_file_size 0;\n\
         }}\n"
    );
    configured(folder, "", &upstream, &server)
}

/// A proxy of WebSockets before a backend, as nginx's documentation has it.
pub fn socket_proxy(
    folder: &Path,
    http: SocketAddr,
    backend: SocketAddr,
) -> Result<Command, Failure> {
    let server = format!(
        "listen {http} backlog=4096;\n\
         location / {{\n\
         proxy_pass http://{backend};\n\
         proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Connection \"upgrade\";\n\
         proxy_read_timeout 3600s;\n\
         }}\n"
    );
    configured(folder, "", "", &server)
}

/// A server with TLS that answers all by itself.
pub fn tls(
    folder: &Path,
    http: SocketAddr,
    https: SocketAddr,
    certificates: &Path,
) -> Result<Command, Failure> {
    let dir = certificates.display();
    let server = format!(
        "listen {http};\n\
         listen {https} ssl backlog=4096;\n\
         ssl_certificate {dir}/default.crt;\n\
         ssl_certificate_key {dir}/default.key;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n\
         location / {{ return 200 \"{GREETING}\"; }}\n"
    );
    configured(folder, "", "", &server)
}

/// `POST /publish` to a channel that `GET /subscribe` streams.
pub fn nchan_server(folder: &Path, http: SocketAddr) -> Result<Command, Failure> {
    let module = format!("load_module {};\n", nchan().unwrap_or(NCHAN[0]));
    let server = format!(
        "listen {http} backlog=4096;\n\
         location = /ready {{ return 200 \"ready\"; }}\n\
         location = /publish {{ nchan_publisher http; nchan_channel_id {CHANNEL}; }}\n\
         location = /subscribe {{\n\
         nchan_subscriber http-chunked;\n\
         nchan_channel_id {CHANNEL};\n\
         nchan_subscriber_first_message newest;\n\
         }}\n"
    );
    configured(folder, &module, "", &server)
}

fn configured(
    folder: &Path,
    modules: &str,
    upstream: &str,
    server: &str,
) -> Result<Command, Failure> {
    let dir = folder.display();
    // The folder is open to nobody else, and a worker of root's nginx would be somebody else.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let text = format!(
        "{modules}{user}\
         daemon off;\n\
         worker_processes 1;\n\
         worker_rlimit_nofile 20000;\n\
         pid {dir}/pid;\n\
         error_log stderr warn;\n\
         events {{ worker_connections 19000; }}\n\
         http {{\n\
         access_log off;\n\
         default_type text/plain;\n\
         sendfile on;\n\
         tcp_nopush on;\n\
         keepalive_timeout 3600s;\n\
         keepalive_requests 1000000000;\n\
         client_body_temp_path {dir}/body;\n\
         proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\n\
         uwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\n\
         {upstream}\
         server {{\n{server}}}\n\
         }}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    let mut command = Command::new(program().unwrap_or_else(|| "nginx".into()));
    command.arg("-p").arg(folder).arg("-c").arg(&path).args(["-e", "stderr"]);
    Ok(command)
}
