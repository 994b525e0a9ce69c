//! The log: levels by flag or `RUST_LOG`, for people or as JSON, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::problem::Problem;

/// What may be set about the log, as meant.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The least level that is told, by name or number.
    pub level: String,
    /// Lines are JSON.
    pub json: bool,
}

/// The level of a name, or of a number as Pushpin counts them.
fn level(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "error" | "0" => "error",
        "warn" | "1" => "warn",
        "info" | "2" => "info",
        "debug" | "3" => "debug",
        "trace" | "4" => "trace",
        "off" => "off",
        _ => return None,
    })
}

/// Starts the log. What `RUST_LOG` says goes on top of `given`.
///
/// # Errors
/// When the level or `RUST_LOG` is none.
pub fn init(logs: &Logs) -> Result<(), Problem> {
    let Logs { level: given, json } = logs;
    let level = level(given).ok_or_else(|| {
        Problem::of(
            "--log-level",
            format!("'{given}' is none of error, warn, info, debug, trace, off (or 0 to 4)"),
        )
    })?;
    let refined = std::env::var("RUST_LOG").unwrap_or_default();
    // Routes with a level of their own have decided whether they say something.
    let directives = format!("{level},access_of_route=trace,{refined}");
    let filter = EnvFilter::try_new(directives.trim_end_matches(','))
        .map_err(|error| Problem::of("RUST_LOG", error.to_string()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in one process (tests) keeps the first log.
    let _ = if *json { subscriber.json().try_init() } else { subscriber.try_init() };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_name_and_by_number() {
        assert_eq!(level("WARN"), Some("warn"));
        assert_eq!(level("3"), Some("debug"));
        assert_eq!(level("loud"), None);
    }
}
