//! Where clients connect, as meant; the command line fills it, `server` binds it (specification,
//! routing 9.1 and 9.3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::problem::Problem;
use crate::listen::local::Local;
use crate::listen::network::Network;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Where plain HTTP is served.
    pub http: Vec<SocketAddr>,
    /// Where HTTPS is served.
    pub https: Vec<SocketAddr>,
    /// Unix sockets where plain HTTP is served.
    pub local: Vec<Local>,
    /// Connections that may wait in the kernel, for each thread and address.
    pub backlog: u32,
    /// Where connections begin with a header of the PROXY protocol.
    pub proxied: Proxied,
    /// Who may send such headers.
    pub proxies: Arc<[Network]>,
    /// The file with the id of the process.
    pub pid_file: Option<PathBuf>,
}

/// Which listeners expect the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxied {
    /// All of them.
    Everywhere,
    /// These.
    At(Vec<Place>),
}

/// A listener, by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Local(PathBuf),
}

/// What was written, before anybody has read it.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// `http_port`.
    pub http: &'a [String],
    /// `https_ports`.
    pub https: &'a [String],
    /// `local_ports`.
    pub local: &'a [String],
    /// `proxy_protocol`.
    pub proxied: &'a [String],
    /// `proxy_protocol_from`.
    pub proxies: &'a [String],
    /// The address of ports that have none.
    pub bind: IpAddr,
}

impl Listening {
    /// Reads what was written; what is wrong is added to `problems`, all of it.
    #[must_use]
    pub fn read(written: &Written<'_>, problems: &mut Vec<Problem>) -> Listening {
        let mut list = |flag: &'static str, texts: &[String]| -> Vec<SocketAddr> {
            let read = given(texts).map(|text| address(text, written.bind));
            read.filter_map(|read| read.map_err(|why| problems.push(Problem::of(flag, why))).ok())
                .collect()
        };
        let http = list("--http-port", written.http);
        let https = list("--https-ports", written.https);
        let local = given(written.local).filter_map(|text| {
            let problem =
                |why| problems.push(Problem::of("--local-ports", format!("'{text}': {why}")));
            Local::read(text).map_err(problem).ok()
        });
        let local = local.collect();
        let proxies = given(written.proxies).filter_map(|text| {
            let problem =
                |why| problems.push(Problem::of("--proxy-protocol-from", format!("{why}")));
            text.parse().map_err(problem).ok()
        });
        let proxies = proxies.collect();
        let listening = Listening {
            http,
            https,
            local,
            backlog: 0,
            proxied: proxied(written, problems),
            proxies,
            pid_file: None,
        };
        problems.extend(listening.twice());
        listening
    }

    /// What is given more than once cannot be bound, and the system's words for it mislead.
    fn twice(&self) -> Vec<Problem> {
        let tcp = self.http.iter().map(|at| (at, "--http-port"));
        let tcp = tcp.chain(self.https.iter().map(|at| (at, "--https-ports")));
        let mut seen = Vec::new();
        let mut problems = Vec::new();
        for (address, flag) in tcp.filter(|(address, _)| address.port() != 0) {
            if seen.contains(&address) {
                problems.push(Problem::of(flag, format!("{address} is given twice")));
            }
            seen.push(address);
        }
        let mut seen = Vec::new();
        for path in self.local.iter().map(|local| &local.path) {
            if seen.contains(&path) {
                let text = format!("{} is given twice", path.display());
                problems.push(Problem::of("--local-ports", text));
            }
            seen.push(path);
        }
        problems
    }
}

impl Proxied {
    /// Whether it is expected at a listener.
    #[must_use]
    pub fn is_at(&self, place: &Place) -> bool {
        match self {
            Proxied::Everywhere => true,
            Proxied::At(places) => places.contains(place),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An empty value gives nothing: so a list that has a default can be emptied.
fn given(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn proxied(written: &Written<'_>, problems: &mut Vec<Problem>) -> Proxied {
    let mut places = Vec::new();
    for text in given(written.proxied) {
        match text {
            "on" => return Proxied::Everywhere,
            "off" => {}
            path if path.starts_with("unix:") || path.contains('/') => {
                let path = path.strip_prefix("unix:").unwrap_or(path);
                places.push(Place::Local(path.into()));
            }
            text => match address(text, written.bind) {
                Ok(address) => places.push(Place::Tcp(address)),
                Err(why) => problems.push(Problem::of("--proxy-protocol", why)),
            },
        }
    }
    Proxied::At(places)
}

/// `PORT`, `ADDR:PORT` or `[V6]:PORT`.
fn address(text: &str, bind: IpAddr) -> Result<SocketAddr, String> {
    if !text.starts_with('+')
        && let Ok(port) = text.parse::<u16>()
    {
        return Ok(SocketAddr::new(bind, port));
    }
    match text.parse() {
        Ok(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_some() => {
            return Err(format!("'{text}': an IPv4 address is written without brackets"));
        }
        Ok(address) => return Ok(address),
        Err(_) => {}
    }
    let expected = "expected PORT, ADDR:PORT or [V6ADDR]:PORT";
    let parts = text.rsplit_once(':').filter(|_| !text.ends_with(']'));
    let Some((host, port)) = parts else {
        return Err(format!("'{text}': {expected}"));
    };
    if port.parse::<u16>().is_err() {
        return Err(format!("'{text}': '{port}' is not a port"));
    }
    if host.parse::<IpAddr>().is_ok() {
        return Err(format!("'{text}': an IPv6 address is written in brackets"));
    }
    if host.starts_with('[') && host.contains('%') {
        let zone = "the zone of an address is written as the number of its interface";
        return Err(format!("'{text}': {zone}"));
    }
    Err(format!("'{text}': host names are not allowed here: {expected}"))
}

#[cfg(test)]
mod tests;
