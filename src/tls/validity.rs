//! When a certificate is valid: its two times, out of its DER (RFC 5280, 4.1.2.5). Pure.
//!
//! Nothing else of a certificate is read here, and nothing is checked: whoever connects does that.
//! An operator is to know before they do.

/// From when and until when, both included, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from_s: i64,
    /// Not after.
    pub until_s: i64,
}

/// How a certificate stands at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is valid, and will be for a while.
    #[default]
    Good,
    /// It is not valid yet.
    Early,
    /// It should be replaced soon.
    Ending,
    /// It has expired.
    Over,
}

/// A certificate should be replaced when so little of its time is left, in seconds, or a tenth of
/// it: whichever is less.
const ENDING_S: i64 = 7 * 24 * 3600;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The field of the version, which the oldest certificates have not.
const VERSION: u8 = 0xa0;

impl Validity {
    /// Reads it from a certificate; `None` if that is none.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Validity> {
        let (whole, _) = expect(certificate, SEQUENCE)?;
        let (mut fields, _) = expect(whole, SEQUENCE)?;
        if let Some((_, rest)) = expect(fields, VERSION) {
            fields = rest;
        }
        // Number, algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            fields = expect(fields, tag)?.1;
        }
        let (times, _) = expect(fields, SEQUENCE)?;
        let (from_s, times) = time(times)?;
        let (until_s, _) = time(times)?;
        Some(Validity { from_s, until_s })
    }

    /// How it stands at a moment, in seconds since 1970.
    #[must_use]
    pub fn standing(&self, now_s: i64) -> Standing {
        let ending_s = ENDING_S.min(self.until_s.saturating_sub(self.from_s) / 10);
        match self.until_s.saturating_sub(now_s) {
            ..0 => Standing::Over,
            _ if now_s < self.from_s => Standing::Early,
            left_s if left_s < ending_s => Standing::Ending,
            _ => Standing::Good,
        }
    }

    /// The same in words, with how long ago or how soon; nothing while all is well.
    #[must_use]
    pub fn words(&self, now_s: i64) -> Option<String> {
        let (from_s, until_s) =
            (self.from_s.saturating_sub(now_s), self.until_s.saturating_sub(now_s));
        Some(match self.standing(now_s) {
            Standing::Good => return None,
            Standing::Early => format!("is not valid yet: it will be in {}", span(from_s)),
            Standing::Ending => format!("expires in {}", span(until_s)),
            Standing::Over => format!("expired {} ago", span(until_s.saturating_neg())),
        })
    }
}

/// So many seconds, roughly.
fn span(seconds: i64) -> String {
    match seconds / 3600 {
        0 => format!("{} minutes", seconds / 60),
        hours @ 1..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

/// The content of the first value, if it is of that kind, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; a certificate needs no more than three.
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The first value, a time, and what follows it.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    if let Some((text, rest)) = expect(bytes, GENERALIZED_TIME) {
        let (year, text) = text.split_at_checked(4)?;
        return Some((moment(number(year)?, text)?, rest));
    }
    let (text, rest) = expect(bytes, UTC_TIME)?;
    let (year, text) = text.split_at_checked(2)?;
    let year = number(year)?;
    Some((moment(if year < 50 { 2000 + year } else { 1900 + year }, text)?, rest))
}

/// `MMDDHHMMSSZ` of a year.
fn moment(year: i64, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut parts = digits.chunks(2).map(number);
    let mut next = |least, most| parts.next()?.filter(|part| (least..=most).contains(part));
    let (month, day) = (next(1, 12)?, next(1, 31)?);
    let (hour, minute, second) = (next(0, 23)?, next(0, 59)?, next(0, 60)?);
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01, in a calendar whose years begin in March, so that February is the end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn times_of_certificates() {
        let read = Validity::of(&made((1970, 1, 1), (2000, 2, 29))).unwrap();
        assert_eq!((read.from_s, read.until_s), (0, 951_782_400));
        // In four digits from 2050 on.
        let read = Validity::of(&made((2026, 11, 22), (2100, 3, 1))).unwrap();
        assert_eq!((read.from_s, read.until_s), (1_795_305_600, 4_107_542_400));
    }

    #[test]
    fn times_as_they_are_written() {
        let time = |kind: u8, text: &str| {
            time(&[&[kind, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
                .map(|(seconds, _)| seconds)
        };
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "491231235959Z"), time(GENERALIZED_TIME, "20491231235959Z"));
        assert_eq!(time(UTC_TIME, "500101000000Z"), time(GENERALIZED_TIME, "19500101000000Z"));
        assert_eq!(time(GENERALIZED_TIME, "00010101000000Z"), Some(-62_135_596_800));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for wrong in ["", "Z", "700101000000", "701301000000Z", "7001010000Z", "70010100000xZ"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn how_they_stand() {
        const DAY_S: i64 = 24 * 3600;
        let year = Validity { from_s: 1000 * DAY_S, until_s: 1365 * DAY_S };
        let week = Validity { until_s: 1006 * DAY_S, ..year };
        for (validity, now_s, standing, words) in [
            (year, 998 * DAY_S, Standing::Early, Some("is not valid yet: it will be in 2 days")),
            (year, 1000 * DAY_S, Standing::Good, None),
            (year, 1358 * DAY_S, Standing::Good, None),
            (year, 1358 * DAY_S + 1, Standing::Ending, Some("expires in 6 days")),
            (year, 1365 * DAY_S, Standing::Ending, Some("expires in 0 minutes")),
            (year, 1365 * DAY_S + 1, Standing::Over, Some("expired 0 minutes ago")),
            (year, 1366 * DAY_S, Standing::Over, Some("expired 24 hours ago")),
            // One that never has a week.
            (week, 1000 * DAY_S, Standing::Good, None),
            (week, 1005 * DAY_S + DAY_S / 2, Standing::Ending, Some("expires in 12 hours")),
        ] {
            assert_eq!(validity.standing(now_s), standing, "{now_s}");
            assert_eq!(validity.words(now_s).as_deref(), words, "{now_s}");
        }
        let all = Validity { from_s: i64::MIN, until_s: i64::MAX };
        assert_eq!(all.standing(0), Standing::Good);
    }

    #[test]
    fn what_is_none() {
        let whole = made((2020, 1, 1), (2030, 1, 1));
        for end in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..end]), None, "{end}");
        }
        assert_eq!(Validity::of(b"hello"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            place in 0_usize..300,
            byte: u8,
            other in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut whole = made((2020, 1, 1), (2030, 1, 1));
            whole[place] = byte;
            let _ = Validity::of(&whole);
            let _ = Validity::of(&other);
        }
    }
}
