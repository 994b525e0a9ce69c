//! JSON values read leniently, as existing GRIP implementations do.
