//! The strict reader of request heads that stands before hyper.
