//! A hierarchical timer wheel over `Tick`s, generic in its key; no tasks.
