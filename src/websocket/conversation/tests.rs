//! The conversation without sockets: what goes in and which bodies come out.

use super::*;
use crate::grip::message::MessageKind;
use crate::limits;

fn open() -> Conversation {
    Conversation::new(false, None)
}

fn text(content: &'static str) -> Message {
    Message { kind: MessageKind::Text, content: Bytes::from_static(content.as_bytes()) }
}

fn close(code: u16, reason: &'static str) -> Close {
    Some((code, Bytes::from_static(reason.as_bytes())))
}

fn body(conversation: &mut Conversation) -> Option<String> {
    conversation.begin().map(|request| String::from_utf8_lossy(&request.body).into_owned())
}

fn answer(events: Vec<Event>) -> Answer {
    Answer { events, ..Answer::default() }
}

fn accepting(bytes: u64) -> Answer {
    Answer { accepted_bytes: Some(bytes), ..Answer::default() }
}

fn continues() -> Reply {
    Reply::nothing()
}

#[test]
fn what_comes_meanwhile_goes_together_and_in_order() {
    let mut c = open();
    assert_eq!(c.begin(), None);
    c.client_message(text("one"));
    assert_eq!(body(&mut c).as_deref(), Some("TEXT 3\r\none\r\n"));
    for message in [
        text("two"),
        text(""),
        text("four"),
        Message { kind: MessageKind::Ping, content: Bytes::from_static(b"p") },
        Message { kind: MessageKind::Pong, content: Bytes::new() },
    ] {
        c.client_message(message);
    }
    assert_eq!(c.begin(), None, "one request at a time");
    assert_eq!(c.answered(Answer::default()), continues());
    assert_eq!(
        body(&mut c).as_deref(),
        Some("TEXT 3\r\ntwo\r\nTEXT\r\nTEXT 4\r\nfour\r\nPING 1\r\np\r\nPONG\r\n")
    );
    c.answered(Answer::default());
    assert_eq!(c.begin(), None);
}

#[test]
fn one_event_a_request_even_an_empty_one() {
    let mut c = Conversation::new(true, None);
    c.client_message(text(""));
    c.client_message(text("a"));
    c.client_closed(None);
    for expected in ["TEXT\r\n", "TEXT 1\r\na\r\n", "CLOSE\r\n"] {
        assert_eq!(body(&mut c).as_deref(), Some(expected));
        c.answered(answer(Vec::new()));
    }
    assert!(c.is_done());
}

#[test]
fn the_client_closes_and_the_backend_answers() {
    let mut c = open();
    c.client_message(text("x"));
    c.client_closed(close(3001, "bye"));
    c.client_message(text("ignored"));
    let request = c.begin().unwrap();
    assert_eq!(&request.body[..], b"TEXT 1\r\nx\r\nCLOSE 5\r\n\x0b\xb9bye\r\n");
    let hello = Event::Text(Bytes::from_static(b"m:x"));
    let reply = c.answered(answer(vec![hello.clone(), Event::Close(close(3001, "bye"))]));
    assert_eq!(reply, Reply { deliver: vec![hello], then: Then::Close(close(3001, "bye")) });
    assert!(c.is_done());
    c.client_gone();
    assert_eq!(c.begin(), None, "a clean close needs no DISCONNECT");
}

#[test]
fn an_unanswered_close_drops_the_client_or_is_told_again() {
    let mut c = open();
    c.client_closed(None);
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
    assert_eq!(c.answered(Answer::default()).then, Then::Drop);
    assert!(c.is_done());

    let mut c = Conversation::new(false, Some(20));
    c.client_closed(None);
    for _ in 0..3 {
        assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
        assert_eq!(c.answered(Answer::default()), continues());
        assert_eq!(c.begin(), None);
        assert_eq!(c.timer_s(), Some(20));
        c.timer_due();
    }
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
    assert_eq!(c.answered(answer(vec![Event::Close(None)])).then, Then::Close(None));
}

#[test]
fn the_backend_closes_first() {
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.client_message(text("late"));
    let reply = c.answered(answer(vec![Event::Close(close(4000, "")), Event::Disconnect]));
    assert_eq!(reply.then, Then::Close(close(4000, "")));
    assert_eq!(c.begin(), None);
    let mut gone = open();
    gone.state = State::BackendClosed;
    c.client_closed(close(4000, ""));
    assert_eq!(c.begin().unwrap().body, &b"CLOSE 2\r\n\x0f\xa0\r\n"[..]);
    assert_eq!(c.answered(Answer::default()), continues());
    assert!(c.is_done());

    gone.client_gone();
    assert_eq!(body(&mut gone).as_deref(), Some("DISCONNECT\r\n"));
    assert_eq!(gone.answered(Answer::default()), continues());
    assert!(gone.is_done());
}

#[test]
fn closes_that_cross() {
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.client_closed(close(1000, ""));
    assert_eq!(c.answered(answer(vec![Event::Close(None)])).then, Then::Close(None));
    assert_eq!(c.begin().unwrap().body, &b"CLOSE 2\r\n\x03\xe8\r\n"[..]);
    assert_eq!(c.answered(Answer::default()), continues());
    assert!(c.is_done());
}

#[test]
fn a_client_that_leaves_is_told_after_the_request_in_flight() {
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.client_message(text("never told"));
    c.client_gone();
    assert_eq!(c.begin(), None);
    assert!(c.is_moot());
    assert_eq!(c.answered(answer(vec![Event::Text(Bytes::new())])), continues());
    assert_eq!(body(&mut c).as_deref(), Some("DISCONNECT\r\n"));
    assert!(!c.is_moot());
    assert!(!c.failed());
    assert_eq!(c.begin(), None);

    let mut idle = open();
    idle.client_gone();
    idle.client_gone();
    assert_eq!(body(&mut idle).as_deref(), Some("DISCONNECT\r\n"));
}

#[test]
fn a_client_that_leaves_after_its_close() {
    let mut c = open();
    c.client_closed(close(1001, ""));
    c.client_gone();
    assert!(body(&mut c).unwrap().starts_with("CLOSE 2\r\n"));
    c.answered(Answer::default());
    assert!(c.is_done());
}

#[test]
fn severing_tells_what_is_queued_and_close_without_a_code() {
    let mut c = open();
    c.client_message(text("a"));
    c.sever();
    c.sever();
    assert_eq!(body(&mut c).as_deref(), Some("TEXT 1\r\na\r\nCLOSE\r\n"));
    assert!(!c.is_heard());
    let late = vec![Event::Text(Bytes::from_static(b"m:x")), Event::Close(None)];
    assert_eq!(c.answered(answer(late)), continues());
    assert!(c.is_done());

    let mut c = open();
    c.sever();
    c.begin();
    assert!(!c.failed(), "errors after detaching do not touch the client");
}

#[test]
fn a_severed_conversation_in_flight_tells_close_next() {
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.sever();
    assert_eq!(c.answered(answer(vec![Event::Text(Bytes::new())])), continues());
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
}

#[test]
fn disconnect_and_a_second_open_drop_the_client() {
    for event in [Event::Disconnect, Event::Open] {
        let mut c = open();
        c.client_message(text("a"));
        c.begin();
        let first = Event::Text(Bytes::from_static(b"m:first"));
        let reply = c.answered(answer(vec![first.clone(), event]));
        assert_eq!(reply, Reply { deliver: vec![first], then: Then::Drop });
        c.client_gone();
        assert_eq!(c.begin(), None);
    }
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    assert!(c.failed());
}

#[test]
fn refreshes_and_the_timer_ask_for_an_empty_request() {
    let mut c = open();
    assert_eq!(c.timer_s(), None);
    c.refresh();
    c.refresh();
    assert_eq!(body(&mut c).as_deref(), Some(""));
    c.refresh();
    let interval = Answer { interval_s: Some(Some(30)), ..Answer::default() };
    c.answered(interval);
    assert_eq!(body(&mut c).as_deref(), Some(""));
    assert_eq!(c.timer_s(), None, "not while a request is in flight");
    c.answered(Answer::default());
    assert_eq!(c.begin(), None);
    assert_eq!(c.timer_s(), Some(30));
    c.timer_due();
    assert_eq!(body(&mut c).as_deref(), Some(""));
    c.answered(Answer { interval_s: Some(None), ..Answer::default() });
    assert_eq!(c.timer_s(), None);
}

#[test]
fn the_replay_of_the_specification() {
    let mut c = open();
    c.client_message(text("[foo][hello"));
    assert_eq!(body(&mut c).as_deref(), Some("TEXT b\r\n[foo][hello\r\n"));
    assert_eq!(c.answered(accepting(5)), continues());
    assert_eq!(c.begin(), None, "what is kept is no reason for a request");
    c.client_message(text(" world]"));
    let request = c.begin().unwrap();
    assert_eq!(&request.body[..], b"TEXT 6\r\n[hello\r\nTEXT 7\r\n world]\r\n");
    assert_eq!(request.replayed_bytes, 6);
    assert_eq!(c.answered(accepting(13)), continues());
    assert!(!c.wants_request());
}

#[test]
fn counts_that_make_no_sense() {
    let mut c = open();
    c.client_message(text("abc"));
    c.begin();
    assert_eq!(c.answered(accepting(4)).then, Then::Drop);

    let mut c = Conversation::new(true, None);
    c.client_message(text("abc"));
    c.client_message(text("def"));
    c.begin();
    assert_eq!(c.answered(accepting(0)).then, Then::Drop, "one event will never be more");

    let mut c = open();
    c.client_message(Message {
        kind: MessageKind::Binary,
        content: Bytes::from(vec![0; limits::EVENTS_QUEUE_BYTES_MAX]),
    });
    assert!(c.is_full());
    c.begin();
    assert_eq!(c.answered(accepting(0)).then, Then::Drop, "no more can come");
}

#[test]
fn a_close_behind_kept_content_is_told_again() {
    let mut c = open();
    c.client_message(text("abc"));
    c.client_closed(None);
    assert_eq!(body(&mut c).as_deref(), Some("TEXT 3\r\nabc\r\nCLOSE\r\n"));
    assert_eq!(c.answered(accepting(1)), continues());
    let request = c.begin().unwrap();
    assert_eq!(&request.body[..], b"TEXT 2\r\nbc\r\nCLOSE\r\n");
    assert_eq!(request.replayed_bytes, 2);
    assert_eq!(c.answered(accepting(0)), continues());
    assert_eq!(c.again_ms(), Some(limits::EVENTS_CLOSE_AGAIN_MS));

    let mut c = Conversation::new(false, Some(20));
    c.client_message(text("abc"));
    c.client_closed(None);
    for _ in 0..10 {
        c.begin().unwrap();
        assert_eq!(c.answered(accepting(0)), continues());
        assert_eq!((c.begin(), c.timer_s(), c.again_ms()), (None, Some(20), None));
        c.timer_due();
    }

    let mut c = open();
    c.client_message(text("abc"));
    c.client_closed(close(1000, "bye"));
    c.begin();
    assert_eq!(c.answered(accepting(3)).then, Then::Drop, "all but the CLOSE");
}

/// A conversation whose backend has been offered content before a CLOSE, and took nothing of it.
fn put_off() -> Conversation {
    let mut c = open();
    c.client_message(text("abc"));
    c.client_closed(close(1000, "bye"));
    c.begin().unwrap();
    assert_eq!(c.answered(accepting(0)), continues());
    assert_eq!((c.begin(), c.timer_s()), (None, None));
    c
}

#[test]
fn a_backend_that_takes_nothing_before_a_close_is_asked_a_few_times() {
    let mut c = put_off();
    for _ in 1..limits::EVENTS_CLOSES_AGAIN_MAX {
        c.timer_due();
        let request = c.begin().unwrap();
        assert_eq!(&request.body[..], b"TEXT 3\r\nabc\r\nCLOSE 5\r\n\x03\xe8bye\r\n");
        assert_eq!(request.replayed_bytes, 3);
        assert_eq!(c.answered(accepting(0)), continues());
    }
    c.timer_due();
    c.begin().unwrap();
    assert_eq!(c.answered(accepting(0)).then, Then::Drop);
    assert_eq!(body(&mut c).as_deref(), Some("DISCONNECT\r\n"));
    c.answered(Answer::default());
    assert!(c.is_done());

    // Whatever it takes, the patience begins anew.
    let mut c = put_off();
    for accepted in [0, 0, 0, 1, 0, 0, 0, 0, 0] {
        c.timer_due();
        c.begin().unwrap();
        assert_eq!(c.answered(accepting(accepted)), continues());
    }
    c.timer_due();
    c.begin().unwrap();
    assert_eq!(c.answered(answer(vec![Event::Close(None)])).then, Then::Close(None));
    assert!(c.is_done());
}

#[test]
fn a_put_off_close_whose_client_leaves_is_told_at_once() {
    let mut c = put_off();
    c.client_gone();
    assert_eq!(c.again_ms(), None);
    for _ in 0..limits::EVENTS_CLOSES_AGAIN_MAX {
        let request = c.begin().unwrap();
        assert!(request.body.ends_with(b"CLOSE 5\r\n\x03\xe8bye\r\n"));
        c.answered(accepting(0));
        c.timer_due();
    }
    assert_eq!(body(&mut c).as_deref(), Some("DISCONNECT\r\n"));
    assert_eq!(c.answered(Answer::default()), continues());
    assert!(c.is_done());
}

#[test]
fn a_backend_may_close_without_having_taken_all() {
    let mut c = open();
    c.client_message(text("abc"));
    c.client_closed(None);
    c.begin();
    let closing = Answer { accepted_bytes: Some(0), ..answer(vec![Event::Close(None)]) };
    assert_eq!(c.answered(closing).then, Then::Close(None));
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"), "it has not taken the CLOSE");
    c.answered(Answer::default());
    assert!(c.is_done());
}

#[test]
fn severing_after_the_clients_close() {
    // The CLOSE was told: there is nothing more to say.
    let mut c = Conversation::new(false, Some(20));
    c.client_closed(close(3000, ""));
    c.begin();
    c.answered(Answer::default());
    c.sever();
    assert!(c.is_done());
    // It was not.
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.client_closed(close(3000, ""));
    c.answered(Answer::default());
    c.sever();
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
    c.answered(Answer::default());
    assert!(c.is_done());
    // Both in one answer.
    let mut c = open();
    c.client_message(text("a"));
    c.begin();
    c.answered(answer(vec![Event::Close(None)]));
    c.sever();
    assert_eq!(body(&mut c).as_deref(), Some("CLOSE\r\n"));
}

#[test]
fn a_client_that_leaves_after_its_close_was_told() {
    let mut c = Conversation::new(false, Some(20));
    c.client_closed(None);
    c.begin();
    c.answered(Answer::default());
    c.client_gone();
    assert!(c.is_done());
}

#[test]
fn a_full_queue_of_which_nothing_is_taken_is_the_end() {
    let mut c = open();
    for _ in 0..limits::EVENTS_QUEUE_MESSAGES_MAX {
        c.client_message(text(""));
    }
    c.client_message(text("x"));
    assert!(c.is_full());
    c.begin();
    assert_eq!(c.answered(accepting(0)), continues(), "empty ones go with nothing");
    assert!(!c.is_full());
    assert_eq!(body(&mut c).as_deref(), Some("TEXT 1\r\nx\r\n"));
}

#[test]
fn the_first_answer_may_hold_more() {
    let mut c = open();
    let ping = Event::Ping(Bytes::new());
    let reply = opening_reply(&mut c, vec![ping.clone(), Event::Close(None)]);
    assert_eq!(reply, Reply { deliver: vec![ping], then: Then::Close(None) });
    c.client_gone();
    assert_eq!(body(&mut c).as_deref(), Some("DISCONNECT\r\n"));
    let mut c = open();
    assert_eq!(opening_reply(&mut c, vec![Event::Open]).then, Then::Drop);
    assert!(c.is_done());
}

#[test]
fn stopping_says_nothing() {
    let mut c = open();
    c.client_message(text("a"));
    c.end();
    c.client_gone();
    assert_eq!(c.begin(), None);
}
