//! WebSockets compressed with permessage-deflate (specification, WebSockets 2.7; RFC 7692).
