//! Which core runs what: the server on the first ones, the client on the last, so that neither
//! takes the other's time. Decided by the suites, obeyed by `server.rs` and `delegate.rs`.

use crate::failure::Failure;
use crate::machine;

/// The cores of the two sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The server's.
    pub server: Vec<usize>,
    /// The client's.
    pub client: Vec<usize>,
    /// Whether no core is in both.
    pub apart: bool,
}

impl Cores {
    /// A server with `workers` threads beside a client with a core of its own, if there is one
    /// to spare.
    pub fn apart(workers: usize, pinned: bool) -> Cores {
        Cores::among(machine::cores(), workers, pinned, true)
    }

    /// A server that gets `workers` cores even if that leaves the client none of its own: for
    /// when the client rests meanwhile.
    pub fn first(workers: usize, pinned: bool) -> Cores {
        Cores::among(machine::cores(), workers, pinned, false)
    }

    /// All for both.
    pub fn shared() -> Cores {
        Cores::among(machine::cores(), 1, false, false)
    }

    fn among(all: Vec<usize>, workers: usize, pinned: bool, spare: bool) -> Cores {
        let most = if spare { all.len().saturating_sub(1) } else { all.len() };
        let server: Vec<usize> = all.iter().take(workers.max(1).min(most)).copied().collect();
        if !pinned || server.is_empty() {
            return Cores { server: all.clone(), client: all, apart: false };
        }
        let rest: Vec<usize> = all.iter().skip(server.len()).copied().collect();
        match rest.last() {
            Some(last) => Cores { server, client: vec![*last], apart: true },
            None => Cores { server, client: all, apart: false },
        }
    }

    /// Does `start`, so that what it starts runs on the server's cores, and returns to the
    /// client's.
    pub fn as_server<T>(&self, start: impl FnOnce() -> T) -> Result<T, Failure> {
        machine::pin(&self.server)?;
        let started = start();
        machine::pin(&self.client)?;
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(server: &[usize], client: &[usize], apart: bool) -> Cores {
        Cores { server: server.to_vec(), client: client.to_vec(), apart }
    }

    #[test]
    fn the_client_keeps_the_last_core() {
        assert_eq!(Cores::among(vec![0, 1], 1, true, true), cores(&[0], &[1], true));
        assert_eq!(Cores::among(vec![0, 1], 2, true, true), cores(&[0], &[1], true));
        assert_eq!(Cores::among(vec![0, 1, 2, 3], 2, true, true), cores(&[0, 1], &[3], true));
    }

    #[test]
    fn unless_the_server_is_to_have_all() {
        assert_eq!(Cores::among(vec![0, 1], 2, true, false), cores(&[0, 1], &[0, 1], false));
        assert_eq!(Cores::among(vec![0, 1], 1, true, false), cores(&[0], &[1], true));
    }

    #[test]
    fn one_core_or_no_pinning_is_shared() {
        assert_eq!(Cores::among(vec![3], 1, true, true), cores(&[3], &[3], false));
        assert_eq!(Cores::among(vec![0, 1], 1, false, true), cores(&[0, 1], &[0, 1], false));
    }
}
