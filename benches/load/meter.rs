//! What a phase cost: CPU time of the server's processes and of this one, between two moments.
//! Used by the suites.

use crate::failure::Failure;
use crate::machine;
use crate::peer::Site;

/// CPU time so far.
pub struct Meter<'a> {
    site: &'a Site,
    server: f64,
    client: f64,
}

/// CPU time between two moments, in seconds.
pub struct Cost {
    /// Of all processes of the server.
    pub server: f64,
    /// Of this process.
    pub client: f64,
}

impl<'a> Meter<'a> {
    /// Begins now.
    pub fn start(site: &'a Site) -> Result<Meter<'a>, Failure> {
        let server = machine::cpu_seconds(&site.processes)?;
        let client = machine::cpu_seconds(&[std::process::id()])?;
        Ok(Meter { site, server, client })
    }

    /// What was used since then.
    pub fn stop(&self) -> Result<Cost, Failure> {
        let server = machine::cpu_seconds(&self.site.processes)? - self.server;
        let client = machine::cpu_seconds(&[std::process::id()])? - self.client;
        Ok(Cost { server, client })
    }
}
