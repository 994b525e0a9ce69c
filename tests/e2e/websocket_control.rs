//! Control messages of WebSocket backends (specification, WebSockets 3).
