//! Log lines for people: as Pushpin writes them, with the fields behind (specification, routing
//! 8.1). Called by the roof.

use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::component::Component;

/// See the module.
pub struct Lines {
    /// Lines of several components go to the same place, so each says whose it is.
    pub merged: bool,
    /// Where local time is.
    pub zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let now = self.zone.to_datetime(Timestamp::now());
        let component = self.merged.then(|| Component::of(meta.target()));
        begin(&mut to, *meta.level(), now, component)?;
        let mut line = Line::default();
        event.record(&mut line);
        [&line.message, &line.fields, "\n"].into_iter().try_for_each(|s| to.write_str(s))
    }
}

fn begin(to: &mut impl Write, level: Level, now: DateTime, part: Option<Component>) -> fmt::Result {
    let level = match level {
        Level::ERROR => "ERR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    };
    // Every line has it, and `write!` with widths takes longer than all the rest.
    let mut time = *b"0000-00-00 00:00:00.000";
    let [y0, y1, y2, y3, _, mo0, mo1, _, d0, d1, _, h0, h1, _, m0, m1, _, s0, s1, _, ms @ ..] =
        &mut time;
    put([y0, y1, y2, y3], now.year());
    put([mo0, mo1], now.month().into());
    put([d0, d1], now.day().into());
    put([h0, h1], now.hour().into());
    put([m0, m1], now.minute().into());
    put([s0, s1], now.second().into());
    put(ms.each_mut(), now.millisecond());
    // It is ASCII.
    let time = std::str::from_utf8(&time).unwrap_or_default();
    let (before, name, behind) = match part {
        Some(part) => ("[", part.name(), "] "),
        None => ("", "", ""),
    };
    ["[", level, "] ", time, " ", before, name, behind]
        .into_iter()
        .try_for_each(|s| to.write_str(s))
}

/// A number's last digits.
fn put<const N: usize>(places: [&mut u8; N], number: i16) {
    let mut left = number.unsigned_abs();
    for place in places.into_iter().rev() {
        // One digit.
        *place = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn field(&mut self, field: &Field, value: &dyn fmt::Display) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(Tame(&mut self.message, &['\n', '\t']), "{value}")
        } else {
            write!(self.fields, " {}=", field.name())
                .and_then(|()| write!(Tame(&mut self.fields, &[]), "{value}"))
        };
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
        if field.name() == "message" || (!value.is_empty() && value.chars().all(plain)) {
            self.field(field, &value);
        } else {
            self.field(field, &format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &format_args!("{value:?}"));
    }
}

/// Lets nothing through that could steer a terminal or look like another line.
struct Tame<'a>(&'a mut String, &'static [char]);

impl Write for Tame<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // All control characters are among these, or begin with 0xc2.
        let odd = |byte: u8| (byte < b' ') | (byte == 0x7f) | (byte == 0xc2);
        if !text.bytes().fold(false, |found, byte| found | odd(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if c.is_control() && !self.1.contains(&c) {
                self.0.extend(c.escape_default());
            } else {
                self.0.push(c);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    #[derive(Clone)]
    struct To(Sender<Vec<u8>>);

    impl io::Write for To {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(merged: bool, say: impl FnOnce()) -> Vec<String> {
        let (sender, lines) = channel();
        let sender = Arc::new(To(sender));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .event_format(Lines { merged, zone: TimeZone::UTC })
            .with_writer(move || To::clone(&sender))
            .finish();
        tracing::subscriber::with_default(subscriber, say);
        lines.try_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn as_pushpin_writes_them() {
        let said = lines(true, || {
            tracing::info!(target: "access", "GET http://a/ code=200 2");
            tracing::error!(code = 5, name = "a b", plain = "x", error = %"it\nfails", "bad");
            tracing::warn!("1\n2\u{1b}[31m");
        });
        let (time, rest) = said[0].split_at(31);
        assert!(time.starts_with("[INFO] 20") && time.ends_with(' '), "{time}");
        assert_eq!(rest, "[proxy] GET http://a/ code=200 2\n");
        let time = &time[7..30];
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000");
        assert!(said[1].starts_with("[ERR] 2"), "{}", said[1]);
        let rest = said[1].split_once("] bad").unwrap().1;
        assert_eq!(rest, " code=5 name=\"a b\" plain=x error=it\\nfails\n");
        assert!(said[2].starts_with("[WARN] ") && said[2].ends_with("1\n2\\u{1b}[31m\n"));
        let alone = lines(false, || tracing::debug!(target: "access", "x"));
        assert!(alone[0].starts_with("[DEBUG] ") && alone[0].ends_with(" x\n"));
        assert!(!alone[0].contains("[proxy]"));
    }

    #[test]
    fn local_time() {
        let zone = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
        let moment: Timestamp = "2026-07-01T12:00:00.007Z".parse().unwrap();
        let mut line = String::new();
        begin(&mut line, Level::INFO, zone.to_datetime(moment), None).unwrap();
        let hour = if zone == TimeZone::UTC { "12" } else { "14" };
        assert_eq!(line, format!("[INFO] 2026-07-01 {hour}:00:00.007 "));
    }
}
