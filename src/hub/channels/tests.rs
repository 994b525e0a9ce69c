//! Joining and leaving, and what is kept of channels that are gone.

use super::*;

fn id(index: u32) -> SessionId {
    SessionId { index, generation: 0 }
}

fn subscriber(index: u32) -> Subscriber {
    Subscriber::new(id(index), 0, Marks::default(), 0)
}

#[test]
fn leaving_moves_the_last_and_frees_the_channel() {
    let mut channels = Channels::default();
    let (a, b) = (ChannelName::new("a"), ChannelName::new("b"));
    for index in 0..3 {
        let (_, place) = channels.join(&a, Mode::Stream, (id(index), 0, Marks::default()));
        assert_eq!(place, index);
    }
    channels.join(&a, Mode::Socket, (id(9), 0, Marks::default()));
    channels.join(&b, Mode::Stream, (id(0), 0, Marks::default()));
    let index = channels.find(&a).unwrap();
    assert_eq!(channels.leave(index, Mode::Stream, 0), Some(subscriber(2)));
    assert_eq!(channels.leave(index, Mode::Stream, 1), None);
    assert_eq!(channels.list(index, Mode::Stream), [subscriber(2)]);
    channels.leave(index, Mode::Stream, 0);
    assert_eq!(channels.find(&a), Some(index));
    channels.leave(index, Mode::Socket, 0);
    assert_eq!((channels.find(&a), channels.len()), (None, 1));
    assert!(channels.list(index, Mode::Socket).is_empty());
    let (again, _) =
        channels.join(&ChannelName::new("c"), Mode::Stream, (id(1), 0, Marks::default()));
    assert_eq!(again, index);
}

#[test]
fn many_channels_are_found_by_their_names() {
    let mut channels = Channels::default();
    let names: Vec<_> = (0..1000).map(|n| ChannelName::new(&n.to_string())).collect();
    for name in &names {
        channels.join(name, Mode::Response, (id(1), 0, Marks::default()));
    }
    for name in &names {
        let index = channels.find(name).unwrap();
        channels.leave(index, Mode::Response, 0);
        assert_eq!(channels.find(name), None);
    }
    assert_eq!((channels.len(), channels.channels.len()), (0, 0));
}
