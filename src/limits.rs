//! Every maximum and every time bound that is fixed, its unit in its name, and how they must
//! relate.
//!
//! What an operator may change is an option with its default here; the rest is fixed because the
//! GRIP protocol or its existing implementations fix it. Imported by every layer; imports nothing.

mod backends;

pub use self::backends::*;
/// Bytes of a backend's answer that are waited for, for [`JSONP_WHOLE_MS`], before a script gets
/// it: with its length and for as long as its backend lets it be kept. More is wrapped as it comes.
pub const JSONP_WHOLE_BYTES_MAX: usize = 64 * 1024;
/// How long that is waited for, in milliseconds: as long as a head and a body that were sent
/// together may take to arrive.
pub const JSONP_WHOLE_MS: u64 = 10;

/// Largest request body that a GRIP instruction may answer (specification, GRIP 1.1).
pub const ACCEPT_REQUEST_BODY_BYTES_MAX: usize = 100_000;
/// Largest response body of an instruction that is collected (specification, GRIP 1.1).
pub const ACCEPT_RESPONSE_BODY_BYTES_MAX: usize = 100_000;
/// Request body bytes collected before a backend is asked (specification, routing 3.8).
pub const BODY_PREFETCH_BYTES_MAX: usize = 10_000;
/// Default limit of a request body, in bytes (option `--request-body-bytes`); 0 is none, as in
/// Pushpin: bodies stream.
pub const REQUEST_BODY_BYTES_MAX: u64 = 0;
/// Default limit of a request head from a client, in bytes (option `client_buffer_size`).
pub const REQUEST_HEAD_BYTES_MAX: usize = 8192;
/// Limit of a backend's response head, in bytes.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest certificate of a client that backends are told of, in bytes of DER.
pub const CLIENT_CERTIFICATE_BYTES_MAX: usize = 6 * 1024;
/// Most 1xx that a backend may send before its response.
pub const INTERIM_RESPONSES_MAX: usize = 1000;
/// Most of these that a client is passed of one request; further ones are left out.
pub const INTERIM_RELAYED_MAX: usize = 100;
/// Bytes of these that may wait for a client; what is more is left out.
pub const INTERIM_WAITING_BYTES_MAX: usize = 16 * 1024;
/// A client that is silent between requests, or has not completed a head, is closed after this.
pub const CLIENT_IDLE_MS: u64 = 60_000;
/// Default bound of the way from accept to a whole first request head, TLS handshake included
/// (option `--handshake-timeout`).
pub const HANDSHAKE_MS_DEFAULT: u64 = 10_000;
/// Default number of clients on that way at once, over all shards (option `--handshakes-max`).
pub const HANDSHAKES_MAX: usize = 4096;
/// At that number, the oldest of them makes room for a new client once it is as old as this.
pub const HANDSHAKE_GRACE_MS: u64 = 1_000;
/// Default number of connections that may wait in the kernel for each listening socket (option
/// `--backlog`).
pub const BACKLOG_DEFAULT: u32 = 4096;
/// Longest header of a proxy in front (PROXY protocol), in bytes, its further values included.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// One without long further values fits into so many: what is first read of a connection.
pub const PROXY_HEADER_BYTES_USUAL: usize = 536;
/// Where clients connect unless something else is said (option `http_port`).
pub const HTTP_PORT_DEFAULT: &str = "7999";
/// Who may say whose connection it is (option `--proxy-protocol-from`): this machine, and networks
/// that are nobody's in the Internet.
pub const PROXY_PROTOCOL_FROM_DEFAULT: &str = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,\
    192.168.0.0/16,169.254.0.0/16,100.64.0.0/10,fc00::/7,fe80::/10";
/// Least number of client connections at once that may be allowed (specification, routing 9.4).
pub const CONNECTIONS_LEAST: usize = 2;
/// Connections accepted at once before everybody else of the shard has a turn.
pub const ACCEPTS_AT_ONCE: usize = 32;
/// First and longest pause after an accept that failed, in milliseconds.
pub const ACCEPT_BACK_OFF_MS: (u64, u64) = (5, 1000);
/// Connections that one shard serves at once, neither held nor idle, before it is a storm: after it
/// memory is given back.
pub const STORM_CONNECTIONS: usize = 128;
/// Default of how long nothing of a client's upload may come (specification, routing 3.14; option
/// `--upload-timeout`).
pub const UPLOAD_SILENCE_S: u64 = 1800;
/// Default of how long a client may take nothing of an answer (specification, routing 3.14; option
/// `--download-timeout`).
pub const DOWNLOAD_SILENCE_S: u64 = 1800;
/// A tunnel of another protocol reads at most so many bytes at once in each direction, and no more
/// before they are written.
pub const TUNNEL_BUFFER_BYTES: usize = 16 * 1024;
/// A client that is refused is read from for so long, so that its answer is not lost.
pub const REFUSAL_LINGER_MS: u64 = 1_000;
/// And no more than so many bytes.
pub const REFUSAL_LINGER_BYTES_MAX: usize = 1 << 20;
/// The same for a client that was answered before it had sent all of its request: it may only look
/// for an answer when it has.
pub const EARLY_LINGER_MS: u64 = 5_000;
/// And no more than so many bytes.
pub const EARLY_LINGER_BYTES_MAX: usize = 64 << 20;
/// What goes wrong at one listener is logged at most once in this time.
pub const ENTRANCE_LOG_EVERY_MS: u64 = 10_000;
/// Refused clients of one shard that are read from at once; further ones are only answered.
pub const REFUSALS_MAX: usize = 64;

/// Channels that one connection may be subscribed to (option `connection_subscription_max`).
pub const SUBSCRIPTIONS_PER_CONNECTION_MAX: usize = 20;
/// An item whose predecessor is missing waits so long for it (option `message_wait`).
pub const MESSAGE_WAIT_MS: u64 = 5_000;
/// Items of one channel that may wait for their predecessors (specification, GRIP 5.1).
pub const PENDING_ITEMS_MAX: usize = 100;
/// Bytes of all such items of a shard.
pub const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Items that a channel keeps of those delivered lately (option `--ring-items`; 0 keeps none).
pub const RING_ITEMS_MAX: usize = 256;
/// Bytes of these (option `--ring-bytes`).
pub const RING_BYTES_MAX: usize = 1024 * 1024;
/// How long they are kept (option `--ring-age`).
pub const RING_AGE_MS: u64 = 60_000;
/// Bytes of the rings of all channels of a shard (option `--ring-total-bytes`, for the process).
pub const RING_TOTAL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Channels whose last id is known (specification, GRIP 5.1).
pub const LAST_IDS_MAX: usize = 1_000_000;
/// A channel is remembered so long after its last long-poll (option `subscription_linger`).
pub const SUBSCRIPTION_LINGER_MS: u64 = 60_000;
/// Items that wait for a session whose backend or filter is being asked (specification, GRIP 3.3).
pub const QUEUED_ITEMS_MAX: usize = 100;
/// A next link is polled at most so often (specification, GRIP 3.4).
pub const POLL_MS_MIN: u64 = 100;
/// Bytes that a client which catches up is sent before it must have read them.
pub const CATCH_UP_BYTES_MAX: usize = 32 * 1024;
/// The backend is asked again so long after the first subscription of a channel (GRIP 5.6).
pub const FIRST_SUBSCRIPTION_MS: u64 = 1_000;
/// Requests that one shard makes at once about holds whose backends are asked again (option
/// `--updates-at-once`).
pub const UPDATES_AT_ONCE: usize = 32;
/// How long it is waited for more sessions that want the same asked: the longest of the random
/// times, for what can wait and for what cannot.
pub const GATHER_MS: u64 = 20;
/// See [`GATHER_MS`].
pub const GATHER_SOON_MS: u64 = 4;
/// The same, as long as a broadcast is under way that may bring more.
pub const GATHER_MS_MAX: u64 = 100;
/// Times that a long-poll's backend is asked at once for what it has not given; then it is held.
pub const CONFLICT_ROUNDS_MAX: u32 = 3;
/// Bytes of an answer for several sessions that are kept for those who come late.
pub const FLIGHT_KEPT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of such an answer that are sent at once.
pub const FLIGHT_PIECE_BYTES_MAX: usize = 64 * 1024;
/// A client that does not read holds up the others of its flight so long, then it is closed.
pub const FLIGHT_LAG_MS: u64 = 5_000;
/// A client that is alone is closed when it has read nothing for so long.
pub const FLIGHT_STALL_MS: u64 = 60_000;
/// Pieces of such an answer that wait for another worker.
pub const FERRY_PIECES_MAX: usize = 4;
/// A worker that takes none of them holds up the others so long: longer than its own clients may.
pub const FERRY_LAG_MS: u64 = 2 * FLIGHT_LAG_MS;
/// A worker that misses the same so long after such an answer has ended still gets it.
pub const FERRY_LINGER_MS: u64 = 1_000;
/// Bytes of all answers that one shard keeps for this; past it they are not kept.
pub const FERRY_LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times that a next link or a gone link is asked for again, after a second, two, four, ...
pub const ERRAND_RETRIES_MAX: u32 = 5;
/// Gone links that one shard tells at once.
pub const GONE_AT_ONCE_MAX: usize = 16;
/// Gone links that wait in one shard; further ones are left out, counted.
pub const GONE_WAITING_MAX: usize = 16_384;
/// Default of how long the return of a held request is waited for before its gone link is told
/// (option `--gone-delay`).
pub const GONE_DELAY_MS_DEFAULT: u64 = 0;
/// Variables of one connection (`Grip-Set-Meta`, `set-meta`, `Set-Meta-*`); further ones are not
/// set, and counted.
pub const VARIABLES_MAX: usize = 100;
/// Bytes of their names and values.
pub const VARIABLES_BYTES_MAX: usize = 16 * 1024;
/// Filters that one subscription may name (specification, GRIP 1.4).
pub const FILTERS_PER_SUBSCRIPTION_MAX: usize = 5;
/// By so much a filter may make a content longer, in bytes.
pub const FILTER_GROWTH_BYTES_MAX: usize = 100_000;
/// Longest argument of a directive in filtered content, in bytes.
pub const FILTER_ARGUMENT_BYTES_MAX: usize = 65_536;
/// Requests of HTTP filters in a second, over all shards (specification, GRIP 6.4).
pub const HTTP_FILTER_REQUESTS_PER_S: u32 = 100;
/// Requests of HTTP filters that wait for their turn in one shard; past it an item is discarded.
pub const HTTP_FILTER_WAITING_MAX: usize = 10_000;
/// An HTTP filter has to answer within this.
pub const HTTP_FILTER_MS: u64 = 10_000;
/// Longest content that an HTTP filter may answer with, in bytes.
pub const HTTP_FILTER_REPLY_BYTES_MAX: usize = 100_000;
/// Bytes queued for one client that does not read; past it the connection is closed, or messages
/// are dropped for it, and counted.
pub const OUTBOX_BYTES_MAX: usize = 200_000;
/// Pieces that may be queued for one client when one more is published to it (option
/// `--outbox-messages`). At 20 bytes a piece the bytes are the narrower bound.
pub const OUTBOX_MESSAGES_MAX: usize = 10_000;
/// So many clients that do not read are named in the log within [`COMPLAINTS_PERIOD_MS`], by each
/// worker; the others are counted.
pub const COMPLAINTS_MAX: u32 = 10;
/// See [`COMPLAINTS_MAX`].
pub const COMPLAINTS_PERIOD_MS: u64 = 1_000;
/// Response-hold timeout when the instruction names none, and its least value, in seconds.
pub const HOLD_TIMEOUT_S_DEFAULT: u32 = 55;
/// See [`HOLD_TIMEOUT_S_DEFAULT`].
pub const HOLD_TIMEOUT_S_MIN: u32 = 5;
/// Keep-alive period when the instruction names none, in seconds; its least value is 1.
pub const KEEP_ALIVE_S_DEFAULT: u32 = 55;
/// Next-link timeout when the instruction names none, in seconds.
pub const NEXT_LINK_TIMEOUT_S_DEFAULT: u32 = 120;
/// Delayed WebSocket message: its delay when none is given, in seconds.
pub const SEND_DELAYED_S_DEFAULT: u32 = 1;
/// Random part taken off each keep-alive period, in milliseconds (0 to this, inclusive).
pub const KEEP_ALIVE_JITTER_MS: u64 = 999;

/// Control API: largest request head and body (options `push_in_http_max_*`).
pub const CONTROL_HEAD_BYTES_MAX: usize = 10_000;
/// See [`CONTROL_HEAD_BYTES_MAX`].
pub const CONTROL_BODY_BYTES_MAX: usize = 1_000_000;
/// How long a publisher waits for a shard whose mailbox is full.
pub const PUBLISH_WAIT_MS: u64 = 5_000;
/// How long a publisher that asked for receipts waits for what the shards say.
pub const RECEIPT_WAIT_MS: u64 = 2_000;
/// Default time for which ids of published items are remembered, in seconds (option
/// `--id-cache-ttl`); 0 remembers none.
pub const ID_CACHE_TTL_S_DEFAULT: u64 = 60;
/// Ids that are remembered at once; past it the oldest is forgotten early, and counted.
pub const ID_CACHE_ENTRIES_MAX: usize = 1_000_000;
/// Bytes that remembered ids may keep; past it the same.
pub const ID_CACHE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Commands of operators: largest request, in bytes.
pub const OPERATOR_REQUEST_BYTES_MAX: usize = 1_000_000;
/// Commands of operators: connections served at once, each one request at a time; further ones
/// wait in the backlog.
pub const OPERATOR_CONNECTIONS_MAX: usize = 32;
/// Commands of operators: how long a worker is waited for, to take a question and to answer it.
pub const OPERATOR_WAIT_MS: u64 = 2_000;
/// Control API: connections served at once; further ones wait in the backlog.
pub const CONTROL_CONNECTIONS_MAX: usize = 128;
/// Bytes of its next requests that a held client may send ahead.
pub const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;
/// Subscribers that a shard sends to before it looks at what else there is to do: what a broadcast
/// to many delays everybody else by (each takes a write, some microseconds).
pub const SLICE_DELIVERIES_MAX: usize = 64;
/// Published items that wait in one shard for their deliveries; past it the shard takes no more out
/// of its mailbox (option `--waiting-items`).
pub const WAITING_ITEMS_MAX: usize = 4096;
/// Bytes that these may keep (option `--waiting-bytes`).
pub const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commands that a shard takes out of its mailbox before it looks at what else there is to do.
pub const COMMANDS_AT_ONCE_MAX: usize = 64;
/// Commands that wait in one shard's mailbox before a publisher has to wait.
pub const MAILBOX_COMMANDS_MAX: usize = 1024;
/// Bytes of items that wait in one shard's mailbox before a publisher has to wait.
pub const MAILBOX_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// WebSocket-over-HTTP: bytes queued from one client for its backend (specification, WoH 5.3).
pub const EVENTS_QUEUE_BYTES_MAX: usize = 200_000;
/// WebSocket-over-HTTP: messages queued from one client: empty ones take no bytes of the above.
pub const EVENTS_QUEUE_MESSAGES_MAX: usize = 2048;
/// WebSocket-over-HTTP: a backend that takes nothing of what comes before a CLOSE is told again
/// after this.
pub const EVENTS_CLOSE_AGAIN_MS: u64 = 1_000;
/// See [`EVENTS_CLOSE_AGAIN_MS`]: so often, then it is told that the client is gone.
pub const EVENTS_CLOSES_AGAIN_MAX: u8 = 5;
/// WebSocket-over-HTTP: largest response body (specification, WoH 5.8).
pub const EVENTS_RESPONSE_BYTES_MAX: usize = 1_000_000;
/// WebSocket-over-HTTP: largest rejection body relayed (specification, WoH 5.8).
pub const REJECTION_BODY_BYTES_MAX: usize = 100_000;
/// WebSocket-over-HTTP: least `Keep-Alive-Interval`, in seconds.
pub const EVENTS_KEEP_ALIVE_S_MIN: u32 = 20;
/// WebSocket-over-HTTP: retries of one request, the first after one second, doubling.
pub const EVENTS_RETRIES_MAX: u32 = 5;
/// Largest payload of a WebSocket control frame (RFC 6455, 5.5).
pub const CONTROL_FRAME_BYTES_MAX: usize = 125;
/// A WebSocket whose peer does not answer a CLOSE is dropped after this.
pub const WEBSOCKET_CLOSE_MS: u64 = 30_000;

/// Largest configuration file, in bytes.
pub const CONFIGURATION_BYTES_MAX: u64 = 1024 * 1024;
/// Stopping: what is in flight gets this long (option `--drain-timeout`).
pub const DRAIN_MS_DEFAULT: u64 = 10_000;

const _: () = {
    // A prefetched body can always be collected for an instruction.
    assert!(BODY_PREFETCH_BYTES_MAX <= ACCEPT_REQUEST_BODY_BYTES_MAX);
    // One maximal instruction body fits the outbox of the client that it is sent to.
    assert!(ACCEPT_RESPONSE_BODY_BYTES_MAX < OUTBOX_BYTES_MAX);
    // One response of a WebSocket-over-HTTP backend may exceed the outbox: it waits for the client.
    assert!(EVENTS_QUEUE_BYTES_MAX <= EVENTS_RESPONSE_BYTES_MAX);
    // A shard that sleeps takes any publish of the default size, whatever its items come to.
    assert!(16 * CONTROL_BODY_BYTES_MAX <= MAILBOX_BYTES_MAX as usize);
    assert!(HOLD_TIMEOUT_S_MIN <= HOLD_TIMEOUT_S_DEFAULT);
    // Who has not begun yet is waited for less long than who has.
    assert!(HANDSHAKE_MS_DEFAULT < CLIENT_IDLE_MS && HANDSHAKE_GRACE_MS < HANDSHAKE_MS_DEFAULT);
};
/// A shorter message is not compressed on a WebSocket, by default: it would hardly get shorter.
pub const COMPRESSION_BYTES_MIN: usize = 128;
/// A published WebSocket message of more bytes is not deflated: a shard would serve nobody
/// meanwhile, for some milliseconds a megabyte.
pub const DEFLATED_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Largest WebSocket message of a client, by default: no bound, messages are relayed while they
/// come.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: u64 = 0;
/// A WebSocket without a byte in either direction is closed after so many seconds, by default.
pub const WEBSOCKET_IDLE_S: u64 = 1_800;
/// Frames of one WebSocket message, by default: what comes in more is no message.
pub const WEBSOCKET_FRAGMENTS_MAX: u64 = 1 << 20;
/// Largest WebSocket frame of a client, by default: no bound, as for messages.
pub const WEBSOCKET_FRAME_BYTES_MAX: u64 = 0;
/// Bytes that a client may send behind its WebSocket handshake before the backend has accepted, by
/// default; past it the client waits.
pub const WEBSOCKET_EARLY_BYTES_MAX: usize = 64 * 1024;
/// How long the backends of a WebSocket have to accept or to reject it, by default, in seconds.
pub const WEBSOCKET_OPEN_S: u64 = 120;
/// A WebSocket client that was sent CLOSE and still sends is read from so long, so that the CLOSE
/// is not lost.
pub const WEBSOCKET_LINGER_MS: u64 = 1_000;
/// Parked WebSockets are looked through in so long, or in an eighth of what they may be idle.
pub const WEBSOCKET_SWEEP_MS: u64 = 60_000;
/// Frames that may wait towards either side of a relayed WebSocket; then the other side is not read
/// from, as if the bytes were too many: small frames cost more memory than they have bytes.
pub const RELAY_FRAMES_MAX: usize = 1024;
/// SockJS: longest name of a client's function (the query's `c`).
pub const SOCKJS_CALLBACK_BYTES_MAX: usize = 128;
/// SockJS: a streaming answer ends after so many bytes of frames, by default (route option
/// `sockjs_limit`).
pub const SOCKJS_RESPONSE_BYTES_MAX: u32 = 128 * 1024;
/// A SockJS receiver that has got nothing for so long gets a heartbeat, by default (option
/// `--sockjs-heartbeat`).
pub const SOCKJS_HEARTBEAT_MS: u64 = 25_000;
/// A SockJS session without a receiver for so long is over, by default (option
/// `--sockjs-disconnect-delay`).
pub const SOCKJS_DISCONNECT_MS: u64 = 5_000;
/// A SockJS client that has been told of its session's close is told again for so long.
pub const SOCKJS_LINGER_MS: u64 = 5_000;
/// Bytes of messages that wait for one SockJS client that does not fetch them (option
/// `--sockjs-queue-bytes`), and of one message of its backend.
pub const SOCKJS_QUEUE_BYTES_MAX: usize = 200_000;
/// Largest request body of SockJS (specification, SockJS 6.3).
pub const SOCKJS_BODY_BYTES_MAX: usize = 100_000;
/// Largest message of a SockJS client (specification, SockJS 6.6 and 6.8).
pub const SOCKJS_MESSAGE_BYTES_MAX: usize = 200_000;
/// Largest message of a backend to a SockJS client that has a WebSocket: it has to be whole before
/// it is framed.
pub const SOCKJS_SOCKET_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest text of messages in one frame of a SockJS client's WebSocket (specification, 6.8).
pub const SOCKJS_TEXT_BYTES_MAX: usize = 400_000;
/// SockJS sessions of the HTTP transports at once, over all shards, by default (option
/// `--sockjs-sessions-max`).
pub const SOCKJS_SESSIONS_MAX: usize = 50_000;
/// Bytes that wait in either direction between a SockJS session and its side of the backend.
pub const SOCKJS_PIPE_BYTES: usize = 64 * 1024;
/// Parts of an answer that wait for the shard that writes it to a SockJS client.
pub const SOCKJS_PIECES_MAX: usize = 4;
/// A second SockJS receiver waits so long before it is told that there is one already: a client
/// that gave the first one up may be back sooner than that is noticed.
pub const SOCKJS_ABORT_MS: u64 = 100;
/// Requests of one SockJS session that wait for it.
pub const SOCKJS_VISITS_MAX: usize = 8;
/// A request of a SockJS session waits so long for room in the mailbox of the session's shard.
pub const SOCKJS_VISIT_MS: u64 = 5_000;
/// Where SockJS iframe pages load the client library from, by default (option `--sockjs-url`).
pub const SOCKJS_URL: &str = "http://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js";

/// A routes file that changes is read after this (option `--reload-delay`; specification, routing
/// 2.1), in milliseconds.
pub const RELOAD_DELAY_MS: u64 = 1_000;
/// A file that is still being written is waited for in steps of this, in milliseconds, for as long
/// again as the delay.
pub const RELOAD_SETTLE_MS: u64 = 100;
/// A watched file is looked at after this long without having been told of a change.
pub const WATCH_LOOK_MS: u64 = 10_000;
/// The same where the kernel tells of no changes.
pub const WATCH_BLIND_MS: u64 = 1_000;
/// Bytes of log lines that wait to be written; lines past that are dropped, and counted in the log.
pub const LOG_BYTES_MAX: usize = 8 * 1024 * 1024;
