//! Tests of the session's roof.

use super::*;
use crate::grip::control::SocketKeepAlive;
use crate::grip::instruction::KeepAliveMode;
use crate::grip::message::{Message, MessageKind};
use crate::session::socket::Form;

#[test]
fn a_session_is_small() {
    assert!(size_of::<Hold>() <= 24, "{}", size_of::<Hold>());
    assert!(size_of::<Session>() <= 32, "{}", size_of::<Session>());
}

#[test]
fn variables() {
    let mut session = Session::new(Hold::Socket { form: Form::Plain, timed: None });
    session.set_meta("user", Some("a"));
    session.set_meta("user", Some("b"));
    session.set_meta("x", None);
    assert_eq!((session.meta("user"), session.meta("x")), (Some("b"), None));
    session.set_meta("user", None);
    assert_eq!((session.meta("user"), session.meta.is_none()), (None, true));
}

#[test]
fn variables_are_bounded() {
    let mut session = Session::new(Hold::Socket { form: Form::Plain, timed: None });
    for n in 0..VARIABLES_MAX {
        assert!(session.set_meta(&n.to_string(), Some("x")));
    }
    assert!(!session.set_meta("more", Some("x")) && session.set_meta("0", Some("y")));
    let mut session = Session::new(Hold::Socket { form: Form::Plain, timed: None });
    let long = "x".repeat(VARIABLES_BYTES_MAX - 2);
    assert!(session.set_meta("a", Some(&long)) && session.set_meta("b", Some("")));
    assert!(!session.set_meta("c", Some("")) && session.meta("c").is_none());
    assert!(session.set_meta("a", None) && session.set_meta("c", Some("")));
}

#[test]
fn a_socket_is_due_for_one_thing_after_the_other() {
    let mut rng = Rng::with_seed(1);
    let mut session = Session::new(Hold::Socket { form: Form::Plain, timed: None });
    let message = Message { kind: MessageKind::Text, content: Bytes::from_static(b"k") };
    let keep_alive = SocketKeepAlive { message, mode: KeepAliveMode::Interval, timeout_s: 5 };
    let pulse = Rc::new(Pulse::for_socket(&keep_alive).unwrap());
    session.with_socket(|socket| {
        socket.keep_alive = Some(Pacer::start(pulse, Tick(0), &mut rng));
        socket.delayed = Some((Bytes::from_static(b"d"), Tick(1000)));
        socket.backend = Some(Tick(5001));
    });
    assert_eq!(session.next_due(), Some(Tick(1000)));
    assert!(session.take_due(Tick(999), &mut rng).is_none());
    assert!(matches!(session.take_due(Tick(5001), &mut rng), Some(Due::Delayed(_))));
    assert!(matches!(session.take_due(Tick(5001), &mut rng), Some(Due::KeepAlive(_))));
    assert!(matches!(session.take_due(Tick(5001), &mut rng), Some(Due::Backend)));
    assert!(session.take_due(Tick(5001), &mut rng).is_none());
}

#[test]
fn a_muted_socket_keeps_only_its_backend_timer() {
    let mut session = Session::new(Hold::Socket { form: Form::Plain, timed: None });
    session.set_backend(Some(Tick(9)));
    session.with_socket(|socket| socket.delayed = Some((Bytes::new(), Tick(3))));
    session.mute();
    session.mute();
    assert_eq!((session.mode(), session.next_due()), (Mode::Socket, Some(Tick(9))));
    session.set_backend(None);
    assert_eq!((session.is_muted(), session.next_due()), (true, None));
}
