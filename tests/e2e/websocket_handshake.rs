//! WebSocket handshakes: what is one, and what answers it (specification, WebSockets 1 and 2).
