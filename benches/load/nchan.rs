//! An nginx with the nchan module for a comparison: one worker, nothing logged, nothing kept.
//! Written to a folder that goes away with the run; `peer.rs` starts it.
//!
//! Messages are not stored (`nchan_store_messages off`), which is nchan's fastest way: one that is
//! published goes to all that wait at that moment, and needs no place in a buffer that they would
//! have to be found in again. Every subscriber of a run is there before the first message and a
//! slow one keeps its output chain, so nothing is lost by it; the harness checks that as it does
//! for every server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};

/// Where distributions keep the module.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/share/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
];
const PROGRAMS: [&str; 3] = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];

/// The nginx to run.
pub fn program() -> &'static str {
    PROGRAMS.into_iter().find(|path| Path::new(path).is_file()).unwrap_or(PROGRAMS[0])
}

/// Why nchan cannot take part, if it cannot.
pub fn missing() -> Option<String> {
    if !Path::new(program()).is_file() {
        return Some("nginx is not installed (Debian: apt-get install nginx-light)".to_owned());
    }
    let hint = "(Debian: apt-get install libnginx-mod-nchan)";
    module().is_none().then(|| format!("its module is in none of {MODULES:?} {hint}"))
}

fn module() -> Option<&'static str> {
    MODULES.into_iter().find(|path| Path::new(path).is_file())
}

/// Writes the configuration into `folder`; returns the arguments for nginx. Subscribers and
/// publishers connect to the same port.
pub fn configure(folder: &Path, address: &str, connections: usize) -> Result<Vec<String>, Failure> {
    let log = folder.join("log");
    fs::create_dir_all(&log).during(|| format!("creating {}", log.display()))?;
    let error_log = log.join("nginx").display().to_string();
    let path: PathBuf = folder.join("nginx.conf");
    let text = configuration(folder, address, &error_log, connections);
    fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    let prefix = folder.display().to_string();
    let path = path.display().to_string();
    Ok(["-p", &prefix, "-e", &error_log, "-c", &path].map(str::to_owned).to_vec())
}

fn configuration(folder: &Path, address: &str, error_log: &str, connections: usize) -> String {
    let module = module().unwrap_or(MODULES[0]);
    let dir = folder.display();
    // With less than a sixteenth of them free, nginx begins to close connections that wait.
    let maximum = connections + connections / 8 + 1000;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let subscribers: String =
        [("stream", "http-chunked"), ("ws", "websocket"), ("response", "longpoll")]
            .map(|(path, kind)| {
                format!(
                    "   location = /{path} {{\n\
                     \x20   nchan_subscriber {kind};\n\
                     \x20   nchan_channel_id $arg_channel;\n\
                     \x20   nchan_subscriber_first_message newest;\n\
                     \x20  }}\n"
                )
            })
            .concat();
    format!(
        "load_module {module};\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid {dir}/pid;\n\
         error_log {error_log} warn;\n\
         events {{\n\
         \x20 worker_connections {maximum};\n\
         \x20 multi_accept on;\n\
         }}\n\
         http {{\n\
         \x20 access_log off;\n\
         {temporary}\
         \x20 keepalive_requests 1000000000;\n\
         \x20 keepalive_timeout 1d;\n\
         \x20 nchan_shared_memory_size 512m;\n\
         \x20 server {{\n\
         \x20  listen {address} backlog=4096;\n\
         {subscribers}\
         \x20  location = /publish {{\n\
         \x20   nchan_publisher http;\n\
         \x20   nchan_channel_id $arg_channel;\n\
         \x20   nchan_store_messages off;\n\
         \x20  }}\n\
         \x20 }}\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_match_and_limits_are_above_the_number() {
        let text = configuration(Path::new("/d"), "127.0.0.1:80", "/d/log/nginx", 18_000);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(text.contains("worker_connections 21250;"));
        assert!(text.contains("listen 127.0.0.1:80 "));
    }
}
