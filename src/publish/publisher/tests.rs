//! The publisher over real mailboxes: all or nothing, in order, within the bounds.

use super::*;
use crate::grip::channel::ChannelName;
use crate::shard::mailbox::{Inbox, Receipt, mailbox};

fn item(channel: &str) -> Item {
    Item {
        channel: ChannelName::new(channel),
        id: None,
        prev_id: None,
        http_response: None,
        http_stream: None,
        ws_message: None,
        meta: Vec::new(),
        size: None,
        no_seq: false,
    }
}

fn publisher(mailboxes: Vec<Mailbox>, wait_ms: u64) -> Publisher {
    let settings = Settings { wait_ms, receipt_ms: 50, ..Settings::default() };
    Publisher::new(mailboxes, settings, Rc::default())
}

/// What an input does.
async fn publish(publisher: &Publisher, items: Vec<Item>) -> Result<(), Refused> {
    match publisher.try_publish(items) {
        Attempt::Given => {
            tokio::task::yield_now().await;
            Ok(())
        }
        Attempt::Refused(refused) => Err(refused),
        Attempt::Busy(pending) => publisher.wait(pending).await,
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn channels(inbox: &mut Inbox) -> Vec<String> {
    let mut channels = Vec::new();
    while let Some(command) = inbox.try_recv() {
        if let Command::Publish(items) = command {
            channels.extend(items.iter().map(|item| item.channel.as_str().to_owned()));
        }
    }
    channels
}

#[test]
fn every_shard_gets_the_same_items() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        let publisher = publisher(vec![a, b], limits::PUBLISH_WAIT_MS);
        let attempt = publisher.try_publish(vec![item("1"), item("2")]);
        assert!(matches!(attempt, Attempt::Given));
        assert!(inbox_a.try_recv().is_none(), "the turn is not over");
        assert!(matches!(publisher.try_publish(vec![item("3")]), Attempt::Given));
        tokio::task::yield_now().await;
        let (Some(Command::Publish(a)), Some(Command::Publish(b))) =
            (inbox_a.try_recv(), inbox_b.try_recv())
        else {
            panic!("not published");
        };
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(a.len(), 3, "what was published in one turn goes together");
        assert!(inbox_a.try_recv().is_none());
    });
}

#[test]
fn no_items_are_no_command() {
    run(async {
        let (a, mut inbox) = mailbox();
        let publisher = publisher(vec![a], limits::PUBLISH_WAIT_MS);
        assert!(matches!(publisher.try_publish(Vec::new()), Attempt::Given));
        assert!(inbox.try_recv().is_none());
    });
}

#[test]
fn one_full_mailbox_and_no_shard_gets_anything() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
            b.send(Command::Drain, 0).await.unwrap();
        }
        let publisher = publisher(vec![a, b], 5);
        let refused = publish(&publisher, vec![item("1")]).await;
        assert_eq!(refused, Err(Refused::Busy { waited_ms: 5 }));
        assert!(channels(&mut inbox_a).is_empty());
        assert!(channels(&mut inbox_b).is_empty());
        publish(&publisher, vec![item("2")]).await.unwrap();
        assert_eq!(channels(&mut inbox_a), ["2"]);
        assert_eq!(channels(&mut inbox_b), ["2"]);
    });
}

#[test]
fn calls_that_wait_keep_their_order_in_every_shard() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
            b.send(Command::Drain, 0).await.unwrap();
        }
        let publisher = publisher(vec![a, b], limits::PUBLISH_WAIT_MS);
        let mut calls = Vec::new();
        for n in 0..20 {
            let publisher = publisher.clone();
            calls.push(tokio::task::spawn_local(async move {
                publish(&publisher, vec![item(&n.to_string())]).await
            }));
        }
        tokio::task::yield_now().await;
        assert!(inbox_a.try_recv().is_none());
        let mut seen_b = channels(&mut inbox_b);
        for call in calls {
            call.await.unwrap().unwrap();
        }
        seen_b.extend(channels(&mut inbox_b));
        let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(channels(&mut inbox_a), expected);
        assert_eq!(seen_b, expected);
    });
}

#[test]
fn what_was_given_is_in_the_mailbox() {
    run(async {
        let (a, mut inbox) = mailbox();
        let publisher = publisher(vec![a], limits::PUBLISH_WAIT_MS);
        publisher.given().await;
        assert!(matches!(publisher.try_publish(vec![item("1")]), Attempt::Given));
        publisher.given().await;
        assert_eq!(channels(&mut inbox), ["1"]);
    });
}

#[test]
fn what_is_gathered_does_not_grow_without_end() {
    run(async {
        let (a, mut inbox) = mailbox();
        let publisher = publisher(vec![a], limits::PUBLISH_WAIT_MS);
        let large = |id: &str| with_id("c", &id.repeat(300_000));
        for id in ["1", "2", "3"] {
            assert!(matches!(publisher.try_publish(vec![large(id)]), Attempt::Given));
            assert!(channels(&mut inbox).is_empty());
        }
        assert!(matches!(publisher.try_publish(vec![large("4")]), Attempt::Given));
        assert_eq!(channels(&mut inbox).len(), 4);
    });
}

#[test]
fn what_was_gathered_goes_before_what_waits() {
    run(async {
        let (a, mut inbox) = mailbox();
        for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX - 1 {
            a.send(Command::Drain, 0).await.unwrap();
        }
        let publisher = publisher(vec![a.clone()], limits::PUBLISH_WAIT_MS);
        assert!(matches!(publisher.try_publish(vec![item("1")]), Attempt::Given));
        let large = Item { id: Some("x".repeat(100).into()), ..item("2") };
        let room = crate::limits::MAILBOX_BYTES_MAX as usize;
        let filled = Item { id: Some("x".repeat(room - 500).into()), ..item("3") };
        assert!(matches!(publisher.try_publish(vec![large]), Attempt::Given));
        let Attempt::Busy(pending) = publisher.try_publish(vec![filled]) else {
            panic!("there is no room for it");
        };
        let waiting = publisher.clone();
        let waiting = tokio::task::spawn_local(async move { waiting.wait(pending).await });
        tokio::task::yield_now().await;
        let mut seen = channels(&mut inbox);
        waiting.await.unwrap().unwrap();
        seen.extend(channels(&mut inbox));
        assert_eq!(seen, ["1", "2", "3"]);
    });
}

#[test]
fn a_shard_that_has_ended_refuses_for_all() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, inbox_b) = mailbox();
        drop(inbox_b);
        let publisher = publisher(vec![a, b], limits::PUBLISH_WAIT_MS);
        assert_eq!(publish(&publisher, vec![item("1")]).await, Err(Refused::Stopping));
        assert!(channels(&mut inbox_a).is_empty());
    });
}

fn with_id(channel: &str, id: &str) -> Item {
    Item { id: Some(id.into()), ..item(channel) }
}

/// Fills the mailbox, so that nothing more goes in.
async fn fill(mailbox: &Mailbox) {
    for _ in 0..limits::MAILBOX_COMMANDS_MAX {
        mailbox.send(Command::Drain, 0).await.unwrap();
    }
}

#[test]
fn duplicates_are_accepted_and_dropped() {
    run(async {
        let (a, mut inbox) = mailbox();
        let publisher = publisher(vec![a], 5);
        let items = vec![with_id("a", "1"), item("b"), with_id("a", "1"), with_id("c", "1")];
        publish(&publisher, items).await.unwrap();
        publish(&publisher, vec![with_id("a", "1"), item("b"), with_id("a", "")]).await.unwrap();
        let no_seq = Item { no_seq: true, ..with_id("a", "1") };
        publish(&publisher, vec![no_seq, with_id("a", "")]).await.unwrap();
        assert_eq!(channels(&mut inbox), ["a", "b", "c", "b", "a"]);
        assert_eq!(publisher.inner.stats.items_duplicate.get(), 4);
        assert_eq!(publisher.inner.stats.ids_forgotten_early.get(), 0);
    });
}

#[test]
fn without_a_memory_nothing_is_a_duplicate() {
    run(async {
        let (a, mut inbox) = mailbox();
        let seen = seen::Settings { ttl_ms: 0, ..Default::default() };
        let settings = Settings { seen, ..Settings::default() };
        let publisher = Publisher::new(vec![a], settings, Rc::default());
        publish(&publisher, vec![with_id("a", "1"), with_id("a", "1")]).await.unwrap();
        assert_eq!(channels(&mut inbox), ["a", "a"]);
    });
}

#[test]
fn ids_that_are_forgotten_early_are_counted() {
    run(async {
        let (a, mut inbox) = mailbox();
        let seen = seen::Settings { entries_max: 1, ..Default::default() };
        let settings = Settings { seen, ..Settings::default() };
        let publisher = Publisher::new(vec![a], settings, Rc::default());
        let items = vec![with_id("a", "1"), with_id("a", "2"), with_id("a", "1")];
        publish(&publisher, items).await.unwrap();
        assert_eq!(channels(&mut inbox).len(), 3);
        assert_eq!(publisher.inner.stats.ids_forgotten_early.get(), 2);
    });
}

#[test]
fn what_was_refused_may_be_published_again() {
    run(async {
        let (a, mut inbox) = mailbox();
        fill(&a).await;
        let publisher = publisher(vec![a], 5);
        let item = || vec![with_id("a", "1")];
        assert_eq!(publish(&publisher, item()).await, Err(Refused::Busy { waited_ms: 5 }));
        let refused = publisher.publish_with_receipts(item()).await;
        assert_eq!(refused, Err(Refused::Busy { waited_ms: 5 }));
        // Whoever goes away while it waits has published nothing.
        let Attempt::Busy(pending) = publisher.try_publish(item()) else { panic!("full") };
        let waiting = publisher.clone();
        let waiting = tokio::task::spawn_local(async move { waiting.wait(pending).await });
        tokio::task::yield_now().await;
        waiting.abort();
        waiting.await.unwrap_err();
        assert!(channels(&mut inbox).is_empty());
        publish(&publisher, item()).await.unwrap();
        assert_eq!(channels(&mut inbox), ["a"]);
        assert_eq!(publisher.inner.stats.items_duplicate.get(), 0);
    });
}

#[test]
fn of_two_that_wait_with_the_same_id_one_is_published() {
    run(async {
        let (a, mut inbox) = mailbox();
        fill(&a).await;
        let publisher = publisher(vec![a], limits::PUBLISH_WAIT_MS);
        let wait = |publisher: Publisher| async move {
            publish(&publisher, vec![with_id("a", "1")]).await
        };
        let first = tokio::task::spawn_local(wait(publisher.clone()));
        let second = tokio::task::spawn_local(wait(publisher.clone()));
        tokio::task::yield_now().await;
        let mut seen = channels(&mut inbox);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        seen.extend(channels(&mut inbox));
        assert_eq!(seen, ["a"]);
    });
}

#[test]
fn recover_comes_between_what_is_published_before_and_after() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        let publisher = publisher(vec![a, b], 5);
        assert!(matches!(publisher.try_publish(vec![item("1")]), Attempt::Given));
        publisher.recover().await.unwrap();
        publish(&publisher, vec![item("2")]).await.unwrap();
        for inbox in [&mut inbox_a, &mut inbox_b] {
            assert!(matches!(inbox.try_recv(), Some(Command::Publish(_))));
            assert!(matches!(inbox.try_recv(), Some(Command::Recover)));
            assert!(matches!(inbox.try_recv(), Some(Command::Publish(_))));
        }
    });
}

/// Answers for a shard: so much for each item.
fn answer(inbox: &mut Inbox, receipt: Receipt) -> Vec<String> {
    let Some(Command::PublishCounted(items, reply)) = inbox.try_recv() else {
        panic!("nobody asked")
    };
    reply.send(vec![receipt; items.len()]).unwrap();
    items.iter().map(|item| item.channel.as_str().to_owned()).collect()
}

#[test]
fn receipts_are_those_of_all_shards() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        let publisher = publisher(vec![a, b], 5);
        assert!(matches!(publisher.try_publish(vec![with_id("x", "1")]), Attempt::Given));
        let asking = publisher.clone();
        let asking = tokio::task::spawn_local(async move {
            asking.publish_with_receipts(vec![item("y"), with_id("x", "1"), item("z")]).await
        });
        tokio::task::yield_now().await;
        let receipt = Receipt { matched: 2, queued: 1, refused: 1, waiting: false, dropped: false };
        for inbox in [&mut inbox_a, &mut inbox_b] {
            assert!(matches!(inbox.try_recv(), Some(Command::Publish(_))));
            assert_eq!(answer(inbox, receipt), ["y", "z"]);
        }
        // While the shards are asked, others publish.
        assert!(matches!(publisher.try_publish(vec![item("other")]), Attempt::Given));
        let json = asking.await.unwrap().unwrap().to_json();
        assert!(json.contains(r#""complete":true"#), "{json}");
        assert_eq!(json.matches(r#""matched":4,"queued":2,"refused":2"#).count(), 2, "{json}");
        assert_eq!(json.matches(r#""state":"duplicate""#).count(), 1, "{json}");
    });
}

#[test]
fn shards_that_say_nothing_are_not_waited_for_long() {
    run(async {
        let (a, mut inbox_a) = mailbox();
        let (b, mut inbox_b) = mailbox();
        let publisher = publisher(vec![a, b], 5);
        let asking = publisher.clone();
        let asking =
            tokio::task::spawn_local(
                async move { asking.publish_with_receipts(vec![item("x")]).await },
            );
        tokio::task::yield_now().await;
        answer(
            &mut inbox_b,
            Receipt { matched: 1, queued: 1, refused: 0, waiting: true, dropped: false },
        );
        let json = asking.await.unwrap().unwrap().to_json();
        assert!(json.contains(r#""complete":false"#), "{json}");
        assert!(json.contains(r#""queued":1,"refused":0,"state":"waiting""#), "{json}");
        // It was published there too.
        assert!(matches!(inbox_a.try_recv(), Some(Command::PublishCounted(..))));
    });
}
