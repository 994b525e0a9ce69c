//! All that can be found out about settings without serving: what a start finds out too, and what
//! it would find out by opening files and sockets, as far as that can be told without opening them.
//! Called by `cli` for `linchpin check`. The routes are `routes`' affair.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::access;
use super::listening::{Listening, Place, Proxied};
use super::problem::Findings;
use super::settings::Settings;
use crate::clock;
use crate::listen::tcp;
use crate::publish::command_port;

/// Looks at everything. Blocks. Ports are not opened: a process that serves may be checked.
pub fn look(settings: &Settings, found: &mut Findings) {
    found.problems.extend(settings.check());
    listening(settings, found);
    if !settings.listening.https.is_empty() {
        certificates(settings, found);
    }
    settings.tls.towards_backends(found);
    pid_file(settings, found);
    commands(settings, found);
}

fn certificates(settings: &Settings, found: &mut Findings) {
    let Some(edge) = settings.tls.edge(found) else { return };
    let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
    let mut ends: Vec<_> = edge.certificates.validities().collect();
    ends.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (file, validity) in ends {
        if let Some(words) = validity.words(now_s) {
            found.doubt("--certs", format!("{}: the certificate {words}", file.display()));
        }
    }
    for address in &settings.listening.https {
        if edge.certificates.find(None, address.port()).is_none() {
            let folder = settings.tls.certs.display();
            let text = format!(
                "there is no default.crt in {folder}: on {address} clients are refused that name \
                 no host, or one without a certificate"
            );
            found.doubt("--certs", text);
        }
    }
}

fn listening(settings: &Settings, found: &mut Findings) {
    let Listening { http, https, local, proxied, .. } = &settings.listening;
    if http.is_empty() && https.is_empty() && local.is_empty() {
        found.wrong("--http-port", "no server ports configured");
    }
    if let Proxied::At(places) = proxied {
        let is_one = |place: &&Place| match place {
            Place::Tcp(address) => http.contains(address) || https.contains(address),
            Place::Local(path) => local.iter().any(|local| local.path == *path),
        };
        for place in places.iter().filter(|place| !is_one(place)) {
            found.wrong("--proxy-protocol", format!("{place} is not the address of a listener"));
        }
    }
    let clients = http.iter().map(|at| ("--http-port", *at));
    let clients = clients.chain(https.iter().map(|at| ("--https-ports", *at)));
    let control = settings.control.map(|at| ("--control", at));
    let addresses: BTreeSet<(&str, IpAddr)> =
        clients.chain(control).map(|(flag, at)| (flag, at.ip())).collect();
    for (flag, address) in addresses {
        if let Err(error) = tcp::is_own(address) {
            found.wrong(flag, format!("cannot listen on {address}: {error}"));
        }
    }
    for local in local {
        let bound = local.check().err().map(|error| error.to_string());
        let made = || access::can_write(&local.path).err().map(|error| error.to_string());
        if let Some(why) = bound.or_else(made) {
            let path = local.path.display();
            found.wrong("--local-ports", format!("cannot listen on {path}: {why}"));
        }
    }
}

fn pid_file(settings: &Settings, found: &mut Findings) {
    let Some(path) = &settings.listening.pid_file else { return };
    if let Err(error) = access::can_write(path) {
        found.wrong("--pid-file", format!("{}: {error}", path.display()));
    }
}

fn commands(settings: &Settings, found: &mut Findings) {
    let Some(spec) = &settings.command_spec else { return };
    let usable = command_port::place(spec).and_then(|place| match place {
        command_port::Place::Tcp(addresses) => {
            addresses.iter().try_for_each(|address| tcp::is_own(address.ip()))
        }
        command_port::Place::Ipc(path) => access::can_write(&path),
    });
    if let Err(error) = usable {
        found.wrong("--command-spec", format!("cannot listen on {spec}: {error}"));
    }
}
