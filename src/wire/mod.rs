//! Pure byte codecs: bytes in, a value or a typed error out. They know nothing of GRIP, do no I/O
//! and never panic. Used by every layer above.

pub mod cors;
pub mod deflate;
pub mod frame;
pub mod framing;
pub mod hixie;
pub mod http1;
pub mod inflate;
pub mod jsonp;
pub mod names;
pub mod params;
pub mod proxy_protocol;
pub mod sockjs;
pub mod text;
pub mod tnet;
pub mod zmtp;
