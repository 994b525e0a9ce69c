//! Bytes of frames into messages or fragments, incrementally.
