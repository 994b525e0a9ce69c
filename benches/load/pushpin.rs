//! Pushpin's configuration for a comparison: its own defaults except for ports, folders, logging,
//! and the limits that would throttle it. Written to a folder that goes away with the run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};

/// Where the distribution keeps what every configuration includes.
const INCLUDED: [&str; 3] = [
    "/usr/lib/pushpin/internal.conf",
    "/usr/local/lib/pushpin/internal.conf",
    "/usr/share/pushpin/internal.conf",
];

/// Why Pushpin cannot take part, if it cannot.
pub fn missing() -> Option<String> {
    let program = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("pushpin").is_file()));
    if !program {
        return Some("Pushpin is not installed (Debian: apt-get install pushpin)".to_owned());
    }
    included().is_none().then(|| format!("Pushpin's internal.conf is in none of {INCLUDED:?}"))
}

fn included() -> Option<&'static str> {
    INCLUDED.into_iter().find(|path| Path::new(path).is_file())
}

/// Writes the files into `folder`; returns the path of the configuration.
pub fn configure(
    folder: &Path,
    http: u16,
    control: u16,
    connections: usize,
) -> Result<PathBuf, Failure> {
    let include = included().unwrap_or(INCLUDED[0]);
    let dir = folder.display();
    let maximum = connections + 1000;
    let text = format!(
        "[global]\n\
         include={include}\n\
         rundir={dir}/run\n\
         ipc_prefix=load-\n\
         port_offset=0\n\
         \n\
         [runner]\n\
         services=condure,pushpin-proxy,pushpin-handler\n\
         http_port=127.0.0.1:{http}\n\
         logdir={dir}/log\n\
         log_level=1\n\
         client_buffer_size=8192\n\
         client_maxconn={maximum}\n\
         \n\
         [proxy]\n\
         routesfile={dir}/routes\n\
         sig_key=changeme\n\
         updates_check=off\n\
         \n\
         [handler]\n\
         push_in_spec=ipc://{dir}/run/load-push\n\
         push_in_sub_specs=ipc://{dir}/run/load-sub\n\
         push_in_http_addr=127.0.0.1\n\
         push_in_http_port={control}\n\
         push_in_http_max_headers_size=10000\n\
         push_in_http_max_body_size=1000000\n\
         stats_spec=ipc://{dir}/run/load-stats\n\
         command_spec=ipc://{dir}/run/load-command\n\
         message_rate=-1\n\
         message_hwm=-1\n\
         message_wait=5000\n\
         id_cache_ttl=60\n\
         connection_subscription_max=20\n\
         subscription_linger=60\n\
         stats_connection_ttl=120\n\
         stats_subscription_ttl=60\n\
         stats_report_interval=10\n\
         stats_format=tnetstring\n"
    );
    for name in ["run", "log"] {
        let path = folder.join(name);
        fs::create_dir_all(&path).during(|| format!("creating {}", path.display()))?;
    }
    let path = folder.join("pushpin.conf");
    for (path, text) in [(folder.join("routes"), "* test\n"), (path.clone(), text.as_str())] {
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    }
    Ok(path)
}
