//! The operations that send: an item, the passing of time, the end; each compared with the model.

use std::sync::Arc;

use bytes::Bytes;
use linchpin::grip::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use linchpin::grip::item::Item;
use linchpin::grip::message::{Message, MessageKind};
use linchpin::hub::fanout::{Delivery, Then};
use linchpin::hub::registry::{Effect, Receivers};

use crate::model::{Expected, HELD, Kind, Session, answer};
use crate::outlet::Log;
use crate::{CHANNELS, Simulation, name};

impl Simulation {
    /// Items are taken in: nothing is sent, and all who are to get them are known from now on.
    pub fn publish(&mut self) {
        let channel = self.rng.u8(0..CHANNELS);
        let items: Vec<Item> = (0..self.rng.usize(1..4)).map(|_| self.item(channel)).collect();
        let result = {
            let items: Vec<_> = items.iter().cloned().map(Arc::new).collect();
            self.registry.publish(&items, self.now, None)
        };
        let mut expected = Receivers::default();
        for session in &mut self.sessions {
            for item in &items {
                let subscribed = session.channels.iter().any(|&(known, _)| known == channel);
                let format = match session.kind {
                    Kind::Response { .. } => item.http_response.is_some(),
                    Kind::Socket(_) => item.ws_message.is_some(),
                    _ => item.http_stream.is_some(),
                };
                expected.matched += u64::from(subscribed && format);
                let receive = subscribed.then(|| session.receive(item)).flatten();
                session.due.extend(receive.map(|receive| (channel, receive)));
            }
        }
        assert_eq!(result, expected);
    }

    /// A slice is delivered: whoever got something got all that was due, in order.
    pub fn deliver(&mut self) {
        let now = self.now;
        let result = self.registry.deliver(now, &mut self.clients);
        let log = self.clients.take_log();
        let refreshed: Vec<Effect> = std::iter::from_fn(|| self.registry.poll_effect()).collect();
        let all = !self.registry.is_delivering();
        let (mut counted, mut effects, mut served) = (Receivers::default(), Vec::new(), 0);
        for session in &mut self.sessions {
            let id = session.id;
            let seen = log.sends.iter().any(|(known, ..)| *known == id)
                || log.finishes.iter().any(|(known, _)| *known == id)
                || refreshed.contains(&Effect::Refresh(id));
            if !seen && !session.due.is_empty() {
                assert!(!(all && session.shows()), "nothing came of what was due: {session:?}");
                session.maybe_touched(now);
            }
            if !seen {
                if all {
                    session.due.clear();
                }
                continue;
            }
            served += 1;
            let (expected, before, messages) = session.take_due();
            effects.extend(before);
            if messages {
                session.touched(now);
            }
            check(session, Some(expected), &log, &mut counted, &mut effects);
        }
        assert!(served <= self.slice, "{served} in a slice of {}", self.slice);
        assert_eq!(result, counted);
        compare_effects(&self.sessions, refreshed, effects);
    }

    fn item(&mut self, channel: u8) -> Item {
        self.items += 1;
        let text = match self.rng.u8(0..10) {
            0 => String::new(),
            1 => format!("i{};{}", self.items, "\"x\"".repeat(20)),
            _ => format!("i{};", self.items),
        };
        let content = Bytes::from(text.clone());
        let mut other = || match self.rng.u8(0..10) {
            0 => 1,
            1 => 2,
            2 => 3,
            3 | 4 => 4,
            _ => 0,
        };
        let (response, stream, socket) = (other(), other(), other());
        let filters = |on: bool| on.then(|| vec!["build-id".into()]);
        let code = (self.items.is_multiple_of(2)).then_some(4000);
        Item {
            channel: name(channel),
            http_response: action(response, code, || ResponseContent {
                code: 200,
                reason: None,
                headers: Vec::new(),
                body: ResponseBody::Whole(content.clone()),
                content_filters: None,
            }),
            http_stream: action(stream, code, || StreamContent {
                content: content.clone(),
                content_filters: filters(self.items.is_multiple_of(7)),
            }),
            ws_message: action(socket, code, || MessageContent {
                message: Message { kind: MessageKind::Text, content: content.clone() },
                content_filters: None,
            }),
            id: Some(text.into()),
            prev_id: None,
            meta: Vec::new(),
            size: None,
            no_seq: false,
        }
    }

    pub fn time_moves(&mut self) {
        let target = self.now.plus_ms(self.rng.u64(0..70_000) >> self.rng.u8(0..8));
        let stepwise = self.rng.bool();
        loop {
            let next = self.registry.next_deadline().filter(|&next| stepwise && next <= target);
            self.now = next.unwrap_or(target).max(self.now);
            self.tick();
            if next.is_none() {
                return;
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        self.registry.tick(now, &mut self.clients);
        let log = self.clients.take_log();
        let (mut counted, mut effects) = (Receivers::default(), Vec::new());
        for session in &mut self.sessions {
            let asked = log.backlogs.iter().find(|(id, _)| *id == session.id).map(|&(_, n)| n);
            let mut expected = None;
            match session.kind {
                Kind::Response { persistent, due } if !session.muted && due <= now => {
                    expected = Some(answer(HELD, persistent));
                }
                _ => {}
            }
            let mut bytes = Vec::new();
            if session.delayed.as_ref().is_some_and(|&(_, at)| at <= now) {
                bytes = session.delayed.take().map(|(bytes, _)| bytes).unwrap_or_default();
                session.touched(now);
            }
            let refused = log.sends.iter().any(|(id, _, delivery)| {
                *id == session.id && matches!(delivery, Delivery::Refused | Delivery::Gone)
            });
            let pulse = session.pulse();
            match (session.keep_alive.as_mut(), asked) {
                (Some(window), Some(backlog)) => {
                    assert!(window.from <= now.0, "too early: {window:?} at {now:?}");
                    window.restart(now);
                    if backlog == 0 {
                        bytes.extend(pulse);
                    }
                }
                (Some(window), None) => {
                    assert!(refused || window.to > now.0, "too late: {window:?} at {now:?}");
                }
                (None, asked) => assert_eq!(asked, None),
            }
            if !bytes.is_empty() {
                expected = Some(Expected { bytes, then: None, effect: None });
            }
            if session.backend.is_some_and(|at| at <= now) {
                session.backend = None;
                effects.push(Effect::BackendTimer(session.id));
            }
            check(session, expected, &log, &mut counted, &mut effects);
        }
        self.check_effects(effects);
        assert!(self.registry.next_deadline().is_none_or(|next| next > now));
    }

    pub fn drain(&mut self) {
        self.registry.drain(&mut self.clients);
        let log = self.clients.take_log();
        let mut effects = Vec::new();
        for session in &mut self.sessions {
            let expected = match session.kind {
                _ if session.muted => None,
                Kind::Response { .. } => Some(answer(HELD, false)),
                _ => session.end(Some(1001)).map(|expected| {
                    let then = if session.is_socket() { Then::AwaitClose } else { Then::Close };
                    Expected { then: Some(then), ..expected }
                }),
            };
            check(session, expected, &log, &mut Receivers::default(), &mut effects);
            assert!(session.muted);
        }
        self.check_effects(effects);
    }

    pub fn check_effects(&mut self, expected: Vec<Effect>) {
        let effects = std::iter::from_fn(|| self.registry.poll_effect()).collect();
        compare_effects(&self.sessions, effects, expected);
    }
}

fn compare_effects(sessions: &[Session], effects: Vec<Effect>, mut expected: Vec<Effect>) {
    for effect in effects {
        if let Effect::Update { id, soon } = effect {
            // Only hints ask here, and only long-polls have a backend to ask: no stream has a link.
            let poll = |s: &Session| s.id == id && matches!(s.kind, Kind::Response { .. });
            assert!(soon && sessions.iter().any(poll), "{id:?} has nobody to ask");
            continue;
        }
        let at = expected.iter().position(|known| *known == effect);
        expected.swap_remove(at.unwrap_or_else(|| panic!("{effect:?} was not expected")));
    }
    assert_eq!(expected, []);
}

/// Compares what one session was sent with what it was to be sent, and moves the model on.
pub fn check(
    session: &mut Session,
    expected: Option<Expected>,
    log: &Log,
    counted: &mut Receivers,
    effects: &mut Vec<Effect>,
) {
    let none = Expected { bytes: Vec::new(), then: None, effect: None };
    let Expected { bytes, then, effect } = expected.unwrap_or(none);
    let sends: Vec<_> = log.sends.iter().filter(|(id, ..)| *id == session.id).collect();
    let finish = log.finishes.iter().find(|(id, _)| *id == session.id).map(|&(_, then)| then);
    let sent: Vec<u8> = sends.iter().flat_map(|(_, bytes, _)| bytes.iter().copied()).collect();
    let failed = sends
        .last()
        .map(|&&(_, _, delivery)| delivery)
        .filter(|delivery| matches!(delivery, Delivery::Refused | Delivery::Gone));
    let sent = session.reads(sent);
    counted.delivered += sends.len() as u64 - u64::from(failed.is_some());
    counted.refused += u64::from(failed == Some(Delivery::Refused));
    if failed.is_some() {
        assert!(bytes.starts_with(&sent), "{session:?}");
        assert_eq!(finish, None);
        session.mute();
        return;
    }
    assert_eq!(sent, bytes, "{session:?}");
    assert_eq!(finish, then, "{session:?}");
    effects.extend(effect);
    if then.is_some() {
        session.mute();
    }
}

fn action<T>(kind: u8, code: Option<u16>, content: impl FnOnce() -> T) -> Option<Action<T>> {
    match kind {
        0 => Some(Action::Send(content())),
        1 => Some(Action::Close(CloseReason { code, reason: "".into() })),
        2 => Some(Action::Hint),
        3 => Some(Action::Refresh),
        _ => None,
    }
}
