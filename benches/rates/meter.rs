//! The CPU time of a measurement: the server's, and that of the client and the backend beside it,
//! which tells whose core was the limit. Used by every measurement.

use std::time::Instant;

use crate::failure::Failure;
use crate::machine;
use crate::server::Server;

/// What was used between two moments.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    /// CPU time of the server, in seconds, until it had come to rest.
    pub server: f64,
    /// That by the time that passed: 1 is a whole core.
    pub server_busy: f64,
    /// The client's and the backend's CPU time by the time that passed.
    pub client_busy: f64,
}

/// Counts from its start on.
pub struct Meter {
    server: f64,
    client: f64,
    began: Instant,
}

impl Meter {
    /// Waits until the server rests, and begins.
    pub fn start(server: &Server) -> Result<Meter, Failure> {
        server.rest()?;
        Ok(Meter {
            server: spent(&server.processes)?,
            client: beside(server)?,
            began: Instant::now(),
        })
    }

    /// What was used since; waits until the server rests, and counts what it does until then.
    pub fn stop(self, server: &Server) -> Result<Spent, Failure> {
        let seconds = self.began.elapsed().as_secs_f64().max(1e-9);
        let client = beside(server)? - self.client;
        server.rest()?;
        let own = spent(&server.processes)? - self.server;
        Ok(Spent { server: own, server_busy: own / seconds, client_busy: client / seconds })
    }
}

fn spent(processes: &[u32]) -> Result<f64, Failure> {
    machine::cpu_seconds(processes)
}

fn beside(server: &Server) -> Result<f64, Failure> {
    Ok(spent(&[std::process::id()])? + spent(&server.beside)?)
}
