//! The request as a target sees it.
