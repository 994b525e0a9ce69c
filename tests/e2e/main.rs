//! End-to-end tests: the real binary on real sockets, between scripted backends and independent
//! clients. One story a file; the harness knows no story. Nothing sleeps: every wait is for an
//! event and has a deadline.

mod harness;

mod accepting;
mod access_log;
mod backend_failures;
mod balancing;
mod binary;
mod chain;
mod churn;
mod commands;
mod compression;
mod configuration;
mod control;
mod cors;
mod duplicates;
mod explain;
mod filters;
mod forwarding;
mod framing;
mod headers;
mod health;
mod http1_corpus;
mod http_response;
mod http_stream;
mod jsonp;
mod limits;
mod links;
mod listening;
mod malformed;
mod merging;
mod ordering;
mod proxy_protocol;
mod recovery;
mod reliable_websocket;
mod reload;
mod route_ids;
mod routing;
mod shutdown;
mod slow_consumers;
mod sockjs;
mod test_target;
mod tls;
mod tls_backends;
mod tls_clients;
mod unix_sockets;
mod updates;
mod upgrades;
mod websocket_bounds;
mod websocket_control;
mod websocket_frames;
mod websocket_handshake;
mod websocket_over_http;
mod websocket_over_http_edges;
mod websocket_passthrough;
