//! TLS, both sides: the edge's server configuration from a folder of certificates, the client configuration for targets.
