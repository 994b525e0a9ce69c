//! One shard's plain counters; snapshot and merge.
//!
//! Each shard (and the control thread) owns one [`Stats`] in an `Rc`; a `Cell` each, so counting is
//! an addition in the shard's own memory. The control thread asks shards for snapshots and merges
//! them; nothing here is shared between threads.

use std::cell::Cell;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One thread's counters.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        /// The counters of one thread, or the sum of several, at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// The counters as they stand.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)+ }
            }
        }

        impl Snapshot {
            /// Adds another thread's counters.
            pub fn merge(&mut self, other: &Snapshot) {
                $(self.$name += other.$name;)+
            }

            /// Names and values, in declaration order.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

/// A counter of one thread.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

counters! {
    /// Client connections accepted.
    connections_accepted,
    /// Requests received from clients, WebSockets included.
    requests_received,
    /// Connections that have changed to another protocol.
    tunnels,
    /// Of these, the ones that were closed because nothing came for too long.
    tunnels_idle,
    /// Requests refused before routing: malformed, or too large a head.
    requests_malformed,
    /// Connections closed because their client took nothing of an answer for too long.
    clients_stuck,
    /// Requests refused because of their body's size.
    requests_too_large,
    /// Interim answers (1xx) of backends that were passed on to clients.
    interim_answers,
    /// The same that were left out: too many, too large, or to clients that do not read.
    interim_answers_dropped,
    /// Requests answered with an error of our own because no backend answered.
    backend_failures,
    /// Requests made once more because their connection was closed without an answer.
    backend_repeats,
    /// Requests that another target was tried for.
    backend_next_targets,
    /// Connections made to backends.
    backend_connections,
    /// Addresses of backends' names that had failed, or had not answered yet, when another one did.
    backend_addresses_passed_over,
    /// Idle connections that a backend closed.
    backend_idle_closed,
    /// Requests that waited because as many as may be were under way (`--max-open-requests`).
    backend_waits,
    /// Of these, the ones that were refused.
    backend_waits_refused,
    /// Failures: the process had no descriptor left.
    backend_descriptors_missing,
    /// Failures: names without an address.
    backend_dns_failures,
    /// Failures: the resolver took too long.
    backend_dns_timeouts,
    /// Failures: addresses that are not allowed.
    backend_addresses_refused,
    /// Failures: connections refused.
    backend_connects_refused,
    /// Failures: connections that nobody answered.
    backend_connect_timeouts,
    /// Failures: no way to the backend.
    backend_unreachable,
    /// Failures: certificates.
    backend_tls_certificates,
    /// Failures: TLS handshakes that took too long.
    backend_tls_timeouts,
    /// Failures: TLS handshakes, for any other reason.
    backend_tls_failures,
    /// Failures: connections closed or reset without a byte of an answer.
    backend_resets_before_head,
    /// Failures: no progress before a response head was whole.
    backend_head_timeouts,
    /// Failures: response heads that were cut short.
    backend_heads_cut_short,
    /// Failures: what came is no response.
    backend_heads_malformed,
    /// Failures: response heads over their limit.
    backend_heads_too_large,
    /// Failures: response bodies that were cut short.
    backend_bodies_cut_short,
    /// Failures: no progress within a response body.
    backend_body_timeouts,
    /// Failures: response bodies whose framing is broken.
    backend_bodies_malformed,
    /// Times that a target was set aside because it kept failing.
    backend_targets_ill,
    /// Times that such a target was taken back.
    backend_targets_well,
    /// Requests made to see whether targets are well.
    backend_checks,
    /// Of these, the ones that failed.
    backend_checks_failed,
    /// Requests whose instruction was refused.
    instructions_invalid,
    /// Connections held: long-polls.
    holds_response,
    /// Connections held: streams.
    holds_stream,
    /// Connections held: WebSockets.
    holds_socket,
    /// Connections parked out of hyper.
    connections_parked,
    /// Items accepted from publishers.
    items_received,
    /// Requests made to HTTP filters.
    filter_requests,
    /// Items that were not delivered to a client because its HTTP filter gave no usable answer.
    filter_failures,
    /// Of these, those for which no request was made because too many waited.
    filter_requests_refused,
    /// Deliveries to clients.
    deliveries,
    /// Clients closed because they do not read.
    clients_too_slow,
    /// Messages dropped because their client does not read.
    messages_dropped,
    /// Messages dropped because their client does not read and a newer one had come.
    messages_conflated,
    /// Deliveries of what a client lacked, from what its channel had kept.
    ring_deliveries,
    /// Clients that lacked something which only their backend knew.
    ring_misses,
    /// Items that a client lost because too many waited for it while its backend was asked.
    items_lost_asking,
    /// Variables of connections that were not set because there were too many.
    variables_refused,
    /// Deliveries that a filter prevented.
    deliveries_filtered,
    /// Published WebSocket messages that were deflated: each once, whoever gets them.
    messages_deflated,
    /// What these had been before, in bytes.
    messages_deflated_bytes_before,
    /// What they became, in bytes.
    messages_deflated_bytes_after,
    /// Items that came before the one they follow on, and waited for it.
    items_held_back,
    /// Of these, the ones that were delivered without it, because they had waited long enough.
    items_released_late,
    /// Items that came before the one they follow on, and could not wait: lost.
    items_lost_waiting,
    /// Items that channels kept no longer, because they had been kept long enough or there were
    /// too many.
    ring_dropped,
    /// Holds refused because the connection has too many subscriptions.
    subscriptions_refused,
    /// Times that the backend of a hold was to be asked again.
    updates_wanted,
    /// Requests that were made for it, repetitions included: next links followed, requests of
    /// long-polls repeated.
    updates_made,
    /// Times that another worker had this one ask for a next link.
    updates_for_peers,
    /// Sessions that one of these served beside the first.
    updates_shared,
    /// Next links asked for once more after a failure.
    updates_retried,
    /// Such requests that came to nothing: the streams ended, the long-polls got an error.
    update_failures,
    /// Long-polls whose backend was asked again at once, because it gave less than there is.
    polls_asked_again,
    /// Clients closed because they held up others with whom they shared an answer.
    clients_left_behind,
    /// Gone links requested, repetitions included.
    gone_requests,
    /// Of these, the ones that failed.
    gone_failures,
    /// Gone links requested once more after a failure.
    gone_retries,
    /// Gone links left out because too many waited.
    gone_dropped,
    /// Gone links not requested because the client came back in time.
    gone_withdrawn,
    /// WebSockets on which compression was agreed on with the client.
    sockets_compressed,
    /// WebSocket clients dropped for breaking the protocol.
    socket_protocol_errors,
    /// WebSocket clients dropped because a message was too large.
    socket_messages_too_large,
    /// WebSocket clients dropped because a message came in too many frames.
    socket_fragments_refused,
    /// WebSocket handshakes that no backend answered in time.
    socket_openings_timed_out,
    /// WebSocket clients that had to wait because of what they had sent before their handshake was
    /// answered.
    socket_early_waits,
    /// WebSockets closed because nothing was heard or said for too long.
    sockets_idle,
    /// WebSocket backends that broke the protocol; their clients were dropped.
    socket_backend_errors,
    /// SockJS sessions of the HTTP transports that were opened.
    sockjs_sessions,
    /// SockJS sessions refused because there were too many, or the shard was stopping.
    sockjs_sessions_refused,
    /// SockJS sessions that ended because nobody came to fetch for too long.
    sockjs_sessions_expired,
    /// SockJS sessions that ended because too much waited for their clients, or a message was too
    /// large.
    sockjs_sessions_overfull,
    /// Requests of SockJS sessions that found no room where their session is.
    sockjs_visits_refused,
    /// Times that the backend of a WebSocket was asked for what its client has missed.
    socket_recoveries,
    /// WebSocket-over-HTTP requests sent again.
    events_retries,
    /// Backends that were not told that their client is gone, because too many were being told.
    disconnects_dropped,
    /// Times that a shard took nothing more from publishers because too much waited to be
    /// delivered.
    publishers_held_back,
    /// Publishes refused because a shard's mailbox stayed full.
    publishes_refused,
    /// Commands of operators.
    commands_received,
    /// Of these, the ones that were not carried out.
    commands_failed,
    /// Publish requests refused as invalid.
    publishes_invalid,
    /// Items dropped because their id had been published to their channel shortly before.
    items_duplicate,
    /// Ids of items that were forgotten before their time, because too many were remembered.
    ids_forgotten_early,
    /// Accepts that failed (out of descriptors, for example).
    accept_failures,
    /// Clients that were refused because there was no room, or no descriptor.
    clients_refused,
    /// Clients closed because they did not finish their handshake and first request head in time.
    handshakes_timed_out,
    /// Clients closed in their handshake to make room for others.
    handshakes_dropped,
    /// TLS handshakes that came to an end.
    tls_handshakes,
    /// Of these, the ones that resumed a session.
    tls_resumed,
    /// TLS handshakes that failed because what came is not TLS.
    tls_failed_not_tls,
    /// TLS handshakes that failed because there is no certificate for the name that was asked for.
    tls_failed_no_certificate,
    /// TLS handshakes that failed because no version or encryption is known to both sides.
    tls_failed_incompatible,
    /// TLS handshakes that failed because of the client's certificate, or because it had none.
    tls_failed_client_certificate,
    /// TLS handshakes that clients broke off, most likely because of our certificate.
    tls_failed_refused,
    /// TLS handshakes whose client left.
    tls_failed_left,
    /// TLS handshakes that failed for another reason.
    tls_failed_other,
    /// Times that the routes were read anew from their file and came into force.
    routes_loaded,
    /// Times that they did not, because the file was gone or had errors.
    routes_refused,
    /// Certificates, and files of authorities, that were read again and came into force.
    certificates_loaded,
    /// Those that did not, because they cannot be used.
    certificates_refused,
    /// Connections closed because they did not begin with a valid header of the PROXY protocol.
    proxy_headers_invalid,
    /// Connections closed because their sender may not say who the client is.
    proxies_not_trusted,
    /// Clients that another worker accepted, and this one serves.
    connections_dealt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_add_up() {
        let (a, b) = (Stats::default(), Stats::default());
        a.deliveries.add(3);
        b.deliveries.inc();
        let mut sum = a.snapshot();
        sum.merge(&b.snapshot());
        assert_eq!(sum.deliveries, 4);
        assert!(sum.entries().any(|entry| entry == ("deliveries", 4)));
    }
}
