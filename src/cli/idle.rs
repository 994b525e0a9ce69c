//! Options that are set to something and have no effect because of what others are: each is a
//! warning, at the start and of `linchpin check`. Called by the roof.
//!
//! What is set to its default says nothing, wherever it is given: configuration files list options
//! that nobody has thought about. What the routes may make use of is not judged here.

use clap::{Args, Command, FromArgMatches};

use super::compression::CompressionArgs;
use super::forwarding::ForwardingArgs;
use super::listening::ListeningArgs;
use super::messages::MessageArgs;
use super::tls::{ClientAuth, TlsArgs};
use crate::config::problem::Findings;
use crate::config::settings::Settings;

/// The options among which there are such.
pub struct Given<'a> {
    /// Of listening.
    pub listening: &'a ListeningArgs,
    /// Of TLS.
    pub tls: &'a TlsArgs,
    /// Of compression.
    pub compression: &'a CompressionArgs,
    /// Of what requests become on their way.
    pub forwarding: &'a ForwardingArgs,
    /// Of published items.
    pub messages: &'a MessageArgs,
}

/// Tells of all of them.
pub fn look(args: &Given<'_>, settings: &Settings, found: &mut Findings) {
    tls(args.tls, settings, found);
    let from = &args.listening.proxy_protocol_from;
    let is_set = default::<ListeningArgs>().is_some_and(|args| args.proxy_protocol_from != *from);
    if is_set && args.listening.proxy_protocol.is_empty() {
        let text = "it has no effect without proxy_protocol: nobody is asked for such a header";
        found.doubt("--proxy-protocol-from", text);
    }
    let least = args.compression.compression_min_bytes;
    let is_set =
        default::<CompressionArgs>().is_some_and(|args| args.compression_min_bytes != least);
    if is_set && !args.compression.allow_compression {
        let text = "it has no effect without allow_compression: nothing is compressed";
        found.doubt("--compression-min-bytes", text);
    }
    if !args.forwarding.x_forwarded_for_trusted.is_empty() && settings.upstream_key.is_none() {
        let text = "it has no effect without upstream_key: nobody in front is trusted";
        found.doubt("--x-forwarded-for-trusted", text);
    }
    if let Some(default) = default::<MessageArgs>() {
        let text = "it has no effect while ring_items is 0: nothing is kept";
        args.messages.idle(&default).for_each(|flag| found.doubt(flag, text));
    }
    found.warnings.extend(args.messages.doubt());
}

/// The options of TLS towards clients.
fn tls(tls: &TlsArgs, settings: &Settings, found: &mut Findings) {
    let is_set = default::<TlsArgs>().is_some_and(|d| d.tls_min_version != tls.tls_min_version);
    let asked = tls.tls_client_auth != ClientAuth::None;
    let all = [
        ("--tls-min-version", is_set),
        ("--tls-client-auth", asked),
        ("--tls-client-ca", tls.tls_client_ca.is_some()),
        ("--tls-client-cert-header", tls.tls_client_cert_header),
    ];
    let text = "it has no effect without https_ports: nobody is served over TLS";
    if settings.listening.https.is_empty() {
        let set = all.into_iter().filter(|(_, set)| *set);
        set.for_each(|(flag, _)| found.doubt(flag, text));
    } else if tls.tls_client_cert_header && !asked {
        let text = "it has no effect without tls_client_auth: no client is asked for a certificate";
        found.doubt("--tls-client-cert-header", text);
    }
}

/// What is not set. The environment says nothing about defaults.
fn default<A: Args + FromArgMatches>() -> Option<A> {
    let command = A::augment_args(Command::new("")).mut_args(|arg| arg.env(None::<&str>));
    A::from_arg_matches(&command.try_get_matches_from([""]).ok()?).ok()
}

#[cfg(test)]
mod tests;
