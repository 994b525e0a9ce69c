//! Histories of a session: the table of the specification, and any sequence against a model.

use proptest::prelude::*;

use super::*;

const POLL: bool = false;
const STREAM: bool = true;

fn settings() -> Settings {
    Settings {
        heartbeat_ms: 25_000,
        disconnect_ms: 5_000,
        linger_ms: 5_000,
        response_bytes_max: 100,
        queue_bytes_max: 1_000,
    }
}

struct History {
    session: Session,
    now: Tick,
}

impl History {
    fn open(streaming: bool) -> History {
        let now = Tick(1_000);
        let mut session = Session::new(settings(), streaming, now);
        session.accepted(now);
        History { session, now }
    }

    /// A session whose client polls, and was greeted.
    fn polling() -> History {
        let mut history = History::open(POLL);
        history.hears("o");
        history
    }

    fn after(&mut self, ms: u64) -> &mut History {
        self.now = self.now.plus_ms(ms);
        self
    }

    fn poll(&mut self) -> &mut History {
        self.session.attach(POLL, self.now).unwrap();
        self
    }

    fn sends(&mut self, text: &str) -> &mut History {
        self.session.message(sockjs::quote(text.as_bytes())).unwrap();
        self
    }

    /// The receiver is told this, and its answer ends.
    fn hears(&mut self, frame: &str) {
        assert_eq!(self.say(frame), Goes::Ends);
    }

    fn say(&mut self, frame: &str) -> Goes {
        assert!(self.session.has_something_to_say(self.now));
        let said = self.session.say(self.now).unwrap();
        assert_eq!(said, frame);
        self.session.said(said.len() + 1, self.now)
    }

    fn silent(&mut self) {
        assert!(!self.session.has_something_to_say(self.now));
        assert_eq!(self.session.say(self.now), None);
    }

    fn over(&self) -> bool {
        self.session.is_over(self.now)
    }
}

#[test]
fn all_that_waits_goes_in_one_frame() {
    let mut h = History::polling();
    h.sends("a").sends("b").poll().hears(r#"a["a","b"]"#);
    h.poll().silent();
    h.after(100).sends("c").hears(r#"a["c"]"#);
    h.silent();
}

#[test]
fn nothing_is_said_before_the_backend_has_decided() {
    let mut session = Session::new(settings(), POLL, Tick(0));
    assert_eq!((session.say(Tick(9)), session.deadline()), (None, None));
    assert_eq!(session.attach(POLL, Tick(9)), Err(Busy));
    assert!(!session.wants_messages() && !session.is_open());
    session.accepted(Tick(30_000));
    // The heartbeat counts from here.
    assert_eq!(session.say(Tick(30_000)).unwrap(), "o");
    assert_eq!(session.said(2, Tick(30_000)), Goes::Ends);
    assert!(session.is_open());
}

#[test]
fn heartbeats() {
    let mut h = History::polling();
    h.poll().after(24_999).silent();
    assert_eq!(h.session.deadline(), Some(h.now.plus_ms(1)));
    h.after(1).hears("h");

    let mut h = History::open(STREAM);
    assert_eq!(h.say("o"), Goes::On);
    h.after(20_000).sends("x");
    assert_eq!(h.say(r#"a["x"]"#), Goes::On);
    // Whatever was said meanwhile.
    h.after(4_999).silent();
    assert_eq!(h.after(1).say("h"), Goes::On);
    h.after(24_999).silent();
    assert_eq!(h.after(1).say("h"), Goes::On);
}

#[test]
fn a_session_without_a_receiver_is_over_soon() {
    let mut h = History::polling();
    assert!(!h.after(4_999).over());
    h.poll();
    assert!(!h.after(20_000).over(), "one that waits keeps it");
    h.sends("x").hears(r#"a["x"]"#);
    assert!(!h.after(4_999).over());
    assert!(h.after(1).over());
}

#[test]
fn a_second_receiver_is_refused() {
    let mut h = History::polling();
    h.poll();
    assert_eq!(h.session.attach(STREAM, h.now), Err(Busy));
    h.sends("x").hears(r#"a["x"]"#);
    assert_eq!(second_receiver(), r#"c[2010,"Another connection still open"]"#);
}

#[test]
fn a_close_comes_last_and_is_told_again() {
    let mut h = History::polling();
    h.sends("x");
    h.session.close(3000, b"Go away!", h.now);
    h.sends("late").poll().hears(r#"a["x"]"#);
    h.after(4_000).poll().hears(r#"c[3000,"Go away!"]"#);
    h.after(3_000).poll().hears(r#"c[3000,"Go away!"]"#);
    // It is the first time that counts.
    assert!(!h.after(1_999).over());
    h.session.close(1000, b"", h.now);
    h.poll().hears(r#"c[3000,"Go away!"]"#);
    assert!(h.after(1).over());
}

#[test]
fn a_close_that_nobody_fetches() {
    let mut h = History::polling();
    h.after(4_000).session.close(1000, b"", Tick(5_000));
    assert!(!h.after(4_999).over());
    assert!(h.after(1).over());
    let mut h = History::polling();
    h.session.close(1000, b"", h.now);
    h.poll().hears(r#"c[1000,"Connection closed"]"#);
}

#[test]
fn a_close_before_the_greeting_comes_after_it() {
    let mut h = History::open(STREAM);
    h.session.close(3000, b"no", h.now);
    assert_eq!(h.say("o"), Goes::On);
    h.hears(r#"c[3000,"no"]"#);
    h.session.attach(STREAM, h.now).unwrap();
    h.hears(r#"c[3000,"no"]"#);
}

#[test]
fn a_streaming_answer_ends_at_its_limit() {
    let mut h = History::open(STREAM);
    assert_eq!(h.say("o"), Goes::On);
    let text = "x".repeat(40);
    let frame = format!("a[\"{text}\"]");
    h.sends(&text);
    assert_eq!(h.say(&frame), Goes::On);
    // 2 + 46 + 46 are 94 of 100.
    h.sends(&text);
    assert_eq!(h.say(&frame), Goes::On);
    h.sends("");
    assert_eq!(h.say(r#"a[""]"#), Goes::Ends);
    // The session goes on.
    h.sends("y");
    h.session.attach(STREAM, h.now).unwrap();
    assert_eq!(h.say(r#"a["y"]"#), Goes::On);
}

#[test]
fn what_waits_is_bounded() {
    let message = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let mut h = History::polling();
    assert!(h.session.wants_messages());
    h.session.message(message(500)).unwrap();
    assert!(h.session.wants_messages());
    h.session.message(message(1)).unwrap();
    assert!(!h.session.wants_messages(), "past the half its backend waits");
    h.session.message(message(499)).unwrap();
    assert_eq!(h.session.message(message(1)), Err(Full));
    // One alone may be larger.
    let mut h = History::polling();
    h.session.message(message(5_000)).unwrap();
    assert_eq!(h.session.message(message(1)), Err(Full));
    h.poll();
    assert_eq!(h.session.say(h.now).unwrap().len(), 5_003);
    assert!(h.session.wants_messages());
}

#[test]
fn streaming_frames_are_not_too_large() {
    let settings = Settings { queue_bytes_max: 200_000, response_bytes_max: 200_000, ..settings() };
    let mut session = Session::new(settings, STREAM, Tick(0));
    session.accepted(Tick(0));
    session.say(Tick(0)).unwrap();
    for _ in 0..5 {
        session.message(Bytes::from(vec![b'x'; 10 * 1024])).unwrap();
    }
    assert_eq!(session.say(Tick(0)).unwrap().len(), 3 * 10 * 1024 + 2 + 3);
    assert_eq!(session.say(Tick(0)).unwrap().len(), 2 * 10 * 1024 + 1 + 3);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Attach(bool),
    Message(u8),
    Close,
    Say,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop_oneof![0..40_u64, 4_000..6_000_u64, 24_000..26_000_u64].prop_map(Step::Wait),
        any::<bool>().prop_map(Step::Attach),
        any::<u8>().prop_map(Step::Message),
        Just(Step::Close),
        Just(Step::Say),
        Just(Step::Say),
    ]
}

/// What is known from outside.
struct Model {
    session: Session,
    now: Tick,
    streaming: Option<bool>,
    sent: Vec<u64>,
    heard: Vec<u64>,
    greeted: bool,
    closed: bool,
}

impl Model {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait(ms) => self.now = self.now.plus_ms(ms),
            Step::Attach(kind) => {
                let taken = self.session.attach(kind, self.now).is_ok();
                assert_eq!(taken, self.streaming.is_none());
                self.streaming.get_or_insert(kind);
            }
            Step::Message(number) => {
                if self.session.message(number.to_string().into()).is_ok() && !self.closed {
                    self.sent.push(u64::from(number));
                }
            }
            Step::Close => {
                self.closed = true;
                self.session.close(3000, b"", self.now);
            }
            Step::Say => self.say(),
        }
    }

    fn say(&mut self) {
        let due = self.session.deadline().is_some_and(|at| at <= self.now);
        let waiting = !self.greeted || self.heard.len() < self.sent.len() || self.closed || due;
        let speaks = self.streaming.is_some() && waiting;
        assert_eq!(self.session.has_something_to_say(self.now), speaks);
        let Some(frame) = self.session.say(self.now) else { return assert!(!speaks) };
        assert!(speaks);
        let text = std::str::from_utf8(&frame).unwrap();
        let ends = self.session.said(text.len() + 1, self.now) == Goes::Ends;
        assert!(ends || self.streaming == Some(true));
        if ends {
            self.streaming = None;
        }
        match text.split_at(1) {
            ("o", "") => assert!(!std::mem::replace(&mut self.greeted, true)),
            ("a", list) => self.heard.extend(serde_json::from_str::<Vec<u64>>(list).unwrap()),
            ("h", "") => assert!(!self.closed),
            ("c", _) => assert!(self.greeted && ends && self.closed && self.heard == self.sent),
            _ => panic!("{text}"),
        }
        assert!(self.sent.starts_with(&self.heard));
    }
}

proptest! {
    /// Every message is told once and in order, `o` first and `c` last; a polling receiver is told
    /// one thing; a session with a receiver is never over, one without is, in time.
    #[test]
    fn any_history(steps in prop::collection::vec(step(), 0..80), streaming: bool) {
        let now = Tick(1_000);
        let mut session = Session::new(settings(), streaming, now);
        session.accepted(now);
        let streaming = Some(streaming);
        let (sent, heard, greeted, closed) = (Vec::new(), Vec::new(), false, false);
        let mut model = Model { session, now, streaming, sent, heard, greeted, closed };
        for step in steps {
            if model.session.is_over(model.now) {
                assert!(model.streaming.is_none());
                return Ok(());
            }
            model.step(&step);
        }
        if model.streaming.is_none() {
            assert!(model.session.is_over(model.now.plus_ms(10_000)));
        }
    }
}
