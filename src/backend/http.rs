//! One exchange, or one WebSocket handshake, with a target.
