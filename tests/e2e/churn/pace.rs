//! How long the day is and how fast it passes: `CHURN_SECONDS` and `CHURN_SPEED`.

use std::time::Duration;

/// How many seconds of it are played unless `CHURN_SECONDS` says otherwise.
const SECONDS: u64 = 20;

#[derive(Clone, Copy)]
pub struct Pace {
    /// How many seconds are played. It is over when so many times a backend has died and come back,
    /// and the routes have been rewritten five times as often, however long that takes.
    pub seconds: u64,
    /// How many of them are played in one.
    pub speed: u32,
}

impl Pace {
    pub fn from_environment() -> Pace {
        let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>());
        let of = |name, default| match number(name) {
            None => default,
            Some(Ok(number)) if number > 0 => number,
            Some(_) => panic!("{name} is no number of at least 1"),
        };
        let speed = u32::try_from(of("CHURN_SPEED", 1)).expect("a speed");
        Pace { seconds: of("CHURN_SECONDS", SECONDS), speed }
    }

    /// What takes so long in the day that is played takes so long here.
    pub fn of(self, time: Duration) -> Duration {
        time / self.speed
    }

    /// How long the whole takes if nothing holds it up.
    pub fn least(self) -> Duration {
        self.of(Duration::from_secs(self.seconds))
    }
}
