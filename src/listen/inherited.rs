//! Sockets that whoever started the process has opened for it: systemd's socket activation
//! (sd_listen_fds(3)), by `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`.
//!
//! Called once by `server`, before any thread starts: it takes the variables out of the
//! environment.

use std::io;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listener::Bound;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Clients, without TLS; a Unix socket too.
    Plain,
    /// Clients, with TLS.
    Tls,
    /// Publishers.
    Control,
}

/// A socket that was handed over.
#[derive(Debug)]
pub struct Inherited {
    /// What it is for.
    pub purpose: Purpose,
    /// The socket. It listens.
    pub socket: Bound,
}

/// Why a descriptor that was handed over is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its name says nothing.
    #[error("descriptor '{0}': expected the name http, https, local or control")]
    Name(String),
    /// It is something else than a listening TCP or Unix socket.
    #[error("descriptor '{0}': not a TCP or Unix stream socket: {1}")]
    Kind(String, io::Error),
    /// It does not listen.
    #[error("descriptor '{0}': does not listen (Accept=yes is not for this program)")]
    NotListening(String),
    /// A Unix socket for what needs TCP, or TCP for what is a Unix socket.
    #[error("descriptor '{0}': {1}")]
    Family(String, &'static str),
}

/// Takes what was handed over, all that is of use and all that is not.
#[must_use]
pub fn take() -> (Vec<Inherited>, Vec<Unusable>) {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed = ListenFd::from_env();
    let mut names = names.split(':');
    let (mut taken, mut unusable) = (Vec::new(), Vec::new());
    for place in 0..handed.len() {
        let name = names.next().unwrap_or_default();
        match socket(&mut handed, place, name).and_then(|socket| inherited(socket, name)) {
            Ok(inherited) => taken.push(inherited),
            Err(why) => unusable.push(why),
        }
    }
    (taken, unusable)
}

fn socket(handed: &mut ListenFd, place: usize, name: &str) -> Result<Bound, Unusable> {
    let kind = |error| Unusable::Kind(name.to_owned(), error);
    let gone = || kind(io::ErrorKind::NotFound.into());
    match handed.take_tcp_listener(place) {
        Ok(socket) => socket.map(Bound::Tcp).ok_or_else(gone),
        Err(_) => match handed.take_unix_listener(place).map_err(kind)? {
            Some(socket) => Ok(Bound::Local(socket)),
            None => Err(gone()),
        },
    }
}

fn inherited(socket: Bound, name: &str) -> Result<Inherited, Unusable> {
    let purpose = purpose(&socket, name)?;
    let ready = match &socket {
        Bound::Tcp(tcp) => {
            let raw = SockRef::from(tcp);
            raw.is_listener().and_then(|listens| {
                raw.set_nonblocking(true)?;
                raw.set_tcp_nodelay(true)?;
                Ok(listens)
            })
        }
        Bound::Local(local) => {
            let raw = SockRef::from(local);
            raw.is_listener().and_then(|listens| raw.set_nonblocking(true).map(|()| listens))
        }
    };
    match ready {
        Ok(true) => Ok(Inherited { purpose, socket }),
        Ok(false) => Err(Unusable::NotListening(name.to_owned())),
        Err(error) => Err(Unusable::Kind(name.to_owned(), error)),
    }
}

/// By its name; systemd gives a socket the name of its unit unless the unit says another one.
fn purpose(socket: &Bound, name: &str) -> Result<Purpose, Unusable> {
    let wrong = |why| Err(Unusable::Family(name.to_owned(), why));
    let local = matches!(socket, Bound::Local(_));
    match name {
        "http" if local => wrong("a Unix socket is named local"),
        "http" => Ok(Purpose::Plain),
        "https" if local => wrong("there is no TLS on Unix sockets"),
        "https" => Ok(Purpose::Tls),
        "control" if local => wrong("the control API needs TCP"),
        "control" => Ok(Purpose::Control),
        "local" | "unix" if !local => wrong("not a Unix socket"),
        "local" | "unix" | "" | "unknown" => Ok(Purpose::Plain),
        unit if unit.ends_with(".socket") => Ok(Purpose::Plain),
        _ => Err(Unusable::Name(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn names_say_what_for() {
        let folder = tempfile::tempdir().unwrap();
        let tcp = Bound::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
        let local = Bound::Local(UnixListener::bind(folder.path().join("s")).unwrap());
        for (name, of_tcp, of_local) in [
            ("", Some(Purpose::Plain), Some(Purpose::Plain)),
            ("unknown", Some(Purpose::Plain), Some(Purpose::Plain)),
            ("linchpin.socket", Some(Purpose::Plain), Some(Purpose::Plain)),
            ("http", Some(Purpose::Plain), None),
            ("https", Some(Purpose::Tls), None),
            ("control", Some(Purpose::Control), None),
            ("local", None, Some(Purpose::Plain)),
            ("unix", None, Some(Purpose::Plain)),
            ("htttps", None, None),
        ] {
            assert_eq!(purpose(&tcp, name).ok(), of_tcp, "{name}");
            assert_eq!(purpose(&local, name).ok(), of_local, "{name}");
        }
    }

    #[test]
    fn what_does_not_listen_is_of_no_use() {
        let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let error = inherited(Bound::Tcp(raw.into()), "http").unwrap_err();
        assert!(matches!(error, Unusable::NotListening(_)), "{error}");
    }
}
