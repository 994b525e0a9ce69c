//! End-to-end tests: the real binary on real sockets, between scripted backends and independent
//! clients. One story a file; the harness knows no story. Nothing sleeps: every wait is for an
//! event and has a deadline.

mod harness;

mod accepting;
mod binary;
mod chain;
mod commands;
mod compression;
mod control;
mod duplicates;
mod filters;
mod headers;
mod http_response;
mod http_stream;
mod limits;
mod links;
mod malformed;
mod merging;
mod ordering;
mod recovery;
mod reliable_websocket;
mod routing;
mod shutdown;
mod slow_consumers;
mod sockjs;
mod test_target;
mod tls;
mod updates;
mod websocket_bounds;
mod websocket_control;
mod websocket_frames;
mod websocket_handshake;
mod websocket_over_http;
mod websocket_over_http_edges;
mod websocket_passthrough;
