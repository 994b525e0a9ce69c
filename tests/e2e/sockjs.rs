//! SockJS, over every transport (specification, WebSockets 6).
