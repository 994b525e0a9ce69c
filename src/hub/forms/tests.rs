//! Each form decodes to the message; each is made once, and only for whom it is.

use std::collections::HashMap;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;

use super::*;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::filter::Filters;
use crate::grip::format::{Action, CloseReason, MessageContent};
use crate::grip::item::Item;
use crate::grip::message::MessageKind;
use crate::hub::interest::Interest;
use crate::hub::ledger::Tally;
use crate::hub::recorder::Recorder;
use crate::hub::registry::{Registry, Settings};
use crate::hub::slab::SessionId;
use crate::wire::frame::{Head, Opcode, Parsed, head};

const NOW: Tick = Tick(1000);
const ALL: [Form; 4] = [Form::Plain, DEFLATED, Form::Deflated { window_bits: 9 }, Form::Quoted];
const DEFLATED: Form = Form::Deflated { window_bits: 15 };

/// What a client makes of a whole frame: its head and its payload.
fn split(frame: &[u8]) -> (Head, &[u8]) {
    let Ok(Parsed::Head(head, taken)) = head(frame) else { panic!("{frame:?}") };
    assert!(head.fin && head.mask.is_none() && head.payload_bytes == (frame.len() - taken) as u64);
    (head, &frame[taken..])
}

/// A message as a client of this form reads it. What is no message comes as in any form.
fn read(form: Form, frame: &[u8]) -> (Opcode, Vec<u8>) {
    let (head, payload) = split(frame);
    let content = match (head.reserved, form) {
        (0, _) => payload.to_vec(),
        (4, Form::Deflated { window_bits }) => {
            let mut state = Decompress::new_with_window_bits(false, window_bits);
            let mut out = Vec::with_capacity(1 << 20);
            let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
            state.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
            out
        }
        (2, Form::Quoted) => serde_json::from_slice::<String>(payload).unwrap().into_bytes(),
        other => panic!("{other:?}"),
    };
    (head.opcode, content)
}

fn registry() -> Registry {
    Registry::new(Settings {
        seed: Some(1),
        ring_items_max: 10,
        update_on_first_subscription: false,
        ..Settings::default()
    })
}

fn text(content: impl Into<Bytes>) -> Message {
    Message { kind: MessageKind::Text, content: content.into() }
}

fn item(action: Action<MessageContent>) -> Item {
    Item {
        channel: ChannelName::new("c"),
        id: None,
        prev_id: None,
        http_response: None,
        http_stream: None,
        ws_message: Some(action),
        meta: Vec::new(),
        size: None,
        no_seq: false,
    }
}

fn send(message: Message) -> Item {
    item(Action::Send(MessageContent { message, content_filters: None }))
}

fn publish(registry: &mut Registry, items: Vec<Item>, out: &mut Recorder) {
    let items: Vec<_> = items.into_iter().map(Arc::new).collect();
    registry.publish(&items, NOW, None);
    while registry.is_delivering() {
        registry.deliver(NOW, out);
        registry.verify();
    }
}

fn interest(prev_id: Option<&str>, filters: &[&str]) -> Interest {
    Interest {
        prev_id: prev_id.map(Box::from),
        filters: Filters::parse(filters.iter().copied()).unwrap(),
        ..Interest::plain(ChannelName::new("c"), false)
    }
}

fn open(registry: &mut Registry, form: Form, prev_id: Option<&str>) -> SessionId {
    let id = registry.open_socket(form, NOW);
    registry.subscribe_to(id, &interest(prev_id, &[]));
    id
}

/// The frames that a session was sent, as its client reads them.
fn had(out: &Recorder, id: SessionId, form: Form) -> Vec<(Opcode, Vec<u8>)> {
    out.sent.get(&id).into_iter().flatten().map(|frame| read(form, frame)).collect()
}

fn reserved(out: &Recorder, id: SessionId) -> Vec<u8> {
    out.sent[&id].iter().map(|frame| split(frame).0.reserved).collect()
}

/// Something that gets shorter.
fn words(bytes: usize) -> Bytes {
    "a word, and another one; ".chars().cycle().take(bytes).collect::<String>().into()
}

/// Something that does not.
fn noise(bytes: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(3);
    std::iter::repeat_with(|| rng.u8(b'!'..b'~')).take(bytes).collect::<Vec<u8>>().into()
}

fn deflated(tally: Tally) -> (u64, u64) {
    (tally.deflated, tally.deflated_bytes_before)
}

#[test]
fn all_forms_in_one_channel_are_made_once_and_shared() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let sessions: Vec<_> = (0..200)
        .map(|at| ALL[at % 4])
        .map(|form| (open(&mut registry, form, None), form))
        .collect();
    publish(&mut registry, vec![send(text(words(1000)))], &mut out);
    let mut made: HashMap<(u8, *const u8), usize> = HashMap::new();
    for &(id, form) in &sessions {
        assert_eq!(had(&out, id, form), [(Opcode::Text, words(1000).to_vec())]);
        let frame = &out.sent[&id][0];
        *made.entry((split(frame).0.reserved, frame.as_ptr())).or_default() += 1;
    }
    let mut made: Vec<_> =
        made.into_iter().map(|((reserved, _), count)| (reserved, count)).collect();
    made.sort_unstable();
    // A thousand bytes do not fit the window of 512: plain.
    assert_eq!(made, [(0, 100), (2, 50), (4, 50)]);
    let tally = registry.tally();
    assert_eq!(deflated(tally), (1, 1000));
    let frame = out.sent.values().flatten().find(|frame| split(frame).0.reserved == 4).unwrap();
    assert_eq!(tally.deflated_bytes_after, split(frame).1.len() as u64);
    assert!(frame.len() < 100);
}

#[test]
fn a_form_that_nobody_has_is_not_made() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    open(&mut registry, Form::Plain, None);
    open(&mut registry, Form::Quoted, None);
    publish(&mut registry, vec![send(text(words(1000)))], &mut out);
    assert_eq!(registry.tally(), Tally::default());
}

#[test]
fn what_is_short_or_long_or_gets_no_shorter_is_not_deflated() {
    let settings = Settings { deflate_bytes_min: 200, ..Settings::default() };
    let (mut registry, mut out) = (Registry::new(settings), Recorder::default());
    let id = open(&mut registry, DEFLATED, None);
    let max = DEFLATED_MESSAGE_BYTES_MAX;
    let contents =
        [words(199), words(200), words(max), words(max + 1), noise(100), noise(40_000), "".into()];
    publish(&mut registry, contents.iter().cloned().map(|it| send(text(it))).collect(), &mut out);
    assert_eq!(reserved(&out, id), [0, 4, 4, 0, 0, 4, 0]);
    let texts = contents.map(|content| (Opcode::Text, content.to_vec()));
    assert_eq!(had(&out, id, DEFLATED)[..2], texts[..2]);
    assert_eq!(had(&out, id, DEFLATED)[3..], texts[3..]);
}

#[test]
fn bytes_at_random_are_not_deflated() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = open(&mut registry, DEFLATED, None);
    let mut rng = fastrand::Rng::with_seed(3);
    let content: Bytes =
        std::iter::repeat_with(|| rng.u8(..)).take(5000).collect::<Vec<u8>>().into();
    let message = Message { kind: MessageKind::Binary, content: content.clone() };
    publish(&mut registry, vec![send(message)], &mut out);
    assert_eq!(reserved(&out, id), [0]);
    assert_eq!(had(&out, id, DEFLATED), [(Opcode::Binary, content.to_vec())]);
    assert_eq!(registry.tally(), Tally::default());
}

#[test]
fn a_small_window_gets_what_fits_it() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let small = Form::Deflated { window_bits: 9 };
    let (id, large) = (open(&mut registry, small, None), open(&mut registry, DEFLATED, None));
    let contents = [words(512), words(513)];
    publish(&mut registry, contents.iter().cloned().map(|it| send(text(it))).collect(), &mut out);
    assert_eq!((reserved(&out, id), reserved(&out, large)), (vec![4, 0], vec![4, 4]));
    assert_eq!(had(&out, id, small), contents.map(|it| (Opcode::Text, it.to_vec())));
    // The same bytes as for the large one.
    assert_eq!(out.sent[&id][0].as_ptr(), out.sent[&large][0].as_ptr());
}

#[test]
fn what_is_no_message_comes_plain_to_all() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let sessions = ALL.map(|form| open(&mut registry, form, None));
    let control = |kind| send(Message { kind, content: words(125) });
    let close = CloseReason { code: Some(4001), reason: "bye".into() };
    let items =
        vec![control(MessageKind::Ping), control(MessageKind::Pong), item(Action::Close(close))];
    publish(&mut registry, items, &mut out);
    for id in sessions {
        let frames: Vec<_> = out.sent[&id].iter().map(|frame| split(frame)).collect();
        let is_plain = |(head, _): &(Head, &[u8])| head.reserved == 0;
        assert!(frames.iter().all(is_plain));
        let opcodes: Vec<_> = frames.iter().map(|(head, _)| head.opcode).collect();
        assert_eq!(opcodes, [Opcode::Ping, Opcode::Pong, Opcode::Close]);
    }
}

#[test]
fn binary_stays_binary_when_deflated_and_becomes_text_when_quoted() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let deflated = open(&mut registry, DEFLATED, None);
    let quoted = open(&mut registry, Form::Quoted, None);
    let message = Message { kind: MessageKind::Binary, content: words(300) };
    publish(&mut registry, vec![send(message)], &mut out);
    assert_eq!(had(&out, deflated, DEFLATED), [(Opcode::Binary, words(300).to_vec())]);
    assert_eq!(had(&out, quoted, Form::Quoted), [(Opcode::Text, words(300).to_vec())]);
    assert_eq!((reserved(&out, deflated), reserved(&out, quoted)), (vec![4], vec![2]));
}

#[test]
fn who_follows_ids_gets_its_form_from_the_channel_and_from_the_ring() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let numbered = |id: u32| {
        let ids = (Some(format!("{id}").into()), Some(format!("{}", id - 1).into()));
        Item { id: ids.0, prev_id: ids.1, ..send(text(words(300 + id as usize))) }
    };
    let expected = |ids: std::ops::Range<usize>| -> Vec<_> {
        ids.map(|id| (Opcode::Text, words(300 + id).to_vec())).collect()
    };
    publish(&mut registry, vec![numbered(1)], &mut out);
    let first = ALL.map(|form| (open(&mut registry, form, Some("1")), form));
    for (id, _) in first {
        registry.settle(id, NOW, &mut out);
    }
    publish(&mut registry, vec![numbered(2)], &mut out);
    publish(&mut registry, vec![numbered(3), numbered(4)], &mut out);
    assert_eq!(registry.tally().deflated, 3);
    let later = ALL.map(|form| (open(&mut registry, form, Some("2")), form));
    for (id, _) in later {
        registry.settle(id, NOW, &mut out);
    }
    publish(&mut registry, vec![numbered(5)], &mut out);
    for (id, form) in first {
        assert_eq!(had(&out, id, form), expected(2..6), "{form:?}");
    }
    for (id, form) in later {
        assert_eq!(had(&out, id, form), expected(3..6), "{form:?}");
    }
    assert_eq!(reserved(&out, first[1].0), [4; 4]);
    assert_eq!(reserved(&out, later[3].0), [2; 3]);
    assert!(registry.tally().deflated >= 4 + 2, "once more for the ring");
}

#[test]
fn what_filters_change_comes_in_the_sessions_form() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let sessions = ALL.map(|form| {
        let id = registry.open_socket(form, NOW);
        registry.set_meta(id, "name", Some("\"x\""));
        registry.subscribe_to(id, &interest(None, &["var-subst"]));
        (id, form)
    });
    let template = format!("{}%(name)s", "word ".repeat(80));
    publish(&mut registry, vec![send(text(template))], &mut out);
    let expected = format!("{}\"x\"", "word ".repeat(80)).into_bytes();
    for (id, form) in sessions {
        assert_eq!(had(&out, id, form), [(Opcode::Text, expected.clone())], "{form:?}");
    }
    let (deflated, quoted) = (sessions[1].0, sessions[3].0);
    assert_eq!((reserved(&out, deflated), reserved(&out, quoted)), (vec![4], vec![2]));
}

#[test]
fn several_channels_and_messages_come_in_the_form_too() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let sessions = ALL.map(|form| (open(&mut registry, form, None), form));
    for (id, _) in sessions {
        registry.subscribe(id, &ChannelName::new("other"), false);
    }
    let other = Item { channel: ChannelName::new("other"), ..send(text(words(500))) };
    publish(&mut registry, vec![send(text(words(400))), other, send(text(words(600)))], &mut out);
    let expected = [400, 500, 600].map(|bytes| (Opcode::Text, words(bytes).to_vec()));
    for (id, form) in sessions {
        assert_eq!(had(&out, id, form), expected, "{form:?}");
    }
    assert_eq!((reserved(&out, sessions[1].0), registry.tally().deflated), (vec![4; 3], 3));
}

#[test]
fn further_forms_count_as_waiting_as_long_as_the_message_waits() {
    let settings = Settings { slice: 1, seed: Some(1), ..Settings::default() };
    let (mut registry, mut out) = (Registry::new(settings), Recorder::default());
    let forms = [Form::Plain, Form::Quoted, DEFLATED, Form::Plain]; // served last to first
    let ids = forms.map(|form| open(&mut registry, form, None));
    registry.publish(&[Arc::new(send(text(words(1000))))], NOW, None);
    let bytes = |registry: &Registry| registry.broadcasts.backlog.waiting().1;
    let plain = bytes(&registry);
    assert_eq!(plain, 1004);
    registry.deliver(NOW, &mut out);
    assert_eq!(bytes(&registry), plain);
    registry.deliver(NOW, &mut out);
    let deflated = out.sent[&ids[2]][0].len();
    assert_eq!(bytes(&registry), plain + deflated);
    registry.deliver(NOW, &mut out);
    assert_eq!(bytes(&registry), plain + deflated + out.sent[&ids[1]][0].len());
    registry.deliver(NOW, &mut out);
    assert_eq!((registry.is_delivering(), bytes(&registry)), (false, 0));
}

#[test]
fn a_frame_that_outlives_its_wait_counts_no_more() {
    let backlog = Rc::new(Backlog::default());
    let mut ledger = Ledger::new(crate::hub::sequence::Sequencer::new(Default::default()), false);
    let frame = Frame::of(&text(words(300))).unwrap();
    frame.in_form(Form::Quoted, &mut ledger);
    frame.begin_waiting(&backlog);
    let quoted = backlog.waiting().1;
    assert_eq!(quoted, 306);
    frame.in_form(DEFLATED, &mut ledger);
    assert!(backlog.waiting().1 > quoted);
    frame.end_waiting();
    assert_eq!(backlog.waiting().1, 0);
    let other = Frame::of(&text(words(300))).unwrap();
    other.begin_waiting(&backlog);
    other.end_waiting();
    other.in_form(Form::Quoted, &mut ledger);
    assert_eq!(backlog.waiting().1, 0);
}

proptest! {
    #[test]
    fn all_forms_are_the_same_message(
        content in prop_oneof!["[ab\"é]{0,2000}", any::<String>()],
        binary: bool,
        bytes_min in 0..300_usize,
        window_bits in 9..=15_u8,
    ) {
        let kind = if binary { MessageKind::Binary } else { MessageKind::Text };
        let message = Message { kind, content: Bytes::from(content.clone()) };
        let mut ledger = Ledger::new(crate::hub::sequence::Sequencer::new(Default::default()), false);
        ledger.deflate_bytes_min = bytes_min;
        let frame = Frame::of(&message).unwrap();
        let own = if binary { Opcode::Binary } else { Opcode::Text };
        for form in [Form::Plain, Form::Deflated { window_bits }, DEFLATED, Form::Quoted] {
            let came = frame.in_form(form, &mut ledger).clone();
            let (opcode, read) = read(form, &came);
            prop_assert_eq!(&read[..], content.as_bytes());
            prop_assert_eq!(opcode, if form == Form::Quoted { Opcode::Text } else { own });
            if split(&came).0.reserved == 4 {
                prop_assert!(content.len() >= bytes_min && came.len() < frame.plain().len());
                prop_assert!(form == DEFLATED || content.len() <= 1 << window_bits);
            }
            prop_assert_eq!(came.as_ptr(), frame.in_form(form, &mut ledger).as_ptr());
        }
    }
}
