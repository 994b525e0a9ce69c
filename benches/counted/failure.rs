//! Why there is nothing to compare. Used by all files of this program.

use std::io;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// This program is not built as `release.toml` says.
    #[error("this program is not optimized; `make counted` builds and runs it as it has to be")]
    NotOptimized,
    /// Valgrind cannot be started.
    #[error("valgrind cannot be started ({0}); `make deps` installs it")]
    NoValgrind(io::Error),
    /// A case did not come to its end.
    #[error("`{case}` under callgrind: {reason}")]
    Case {
        /// Its name.
        case: String,
        /// What happened, with what it said last.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the record is not as this program writes it.
    #[error("{}:{line}: expected `[processor]`, `made_with = \"...\"` or `\"case\" = number`", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}
