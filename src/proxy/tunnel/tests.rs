//! Tunnels between streams in memory.

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::forward::tests::run;

fn task(idle_ms: u64) -> (Task, Rc<Stats>) {
    let stats = Rc::<Stats>::default();
    (Task { idle_ms, stats: Rc::clone(&stats), shown: String::new() }, stats)
}

/// A tunnel, and both sides as its client and its backend have them.
fn tunnel(idle_ms: u64) -> (DuplexStream, DuplexStream, Rc<Stats>) {
    let ((client, near), (far, backend)) = (duplex(64), duplex(64));
    let (task, stats) = task(idle_ms);
    let ahead = (Bytes::from_static(b"early "), Bytes::from_static(b"ahead "));
    tokio::task::spawn_local(async move { task.run((near, ahead.0), (far, ahead.1)).await });
    (client, backend, stats)
}

#[test]
fn both_ways_until_both_have_ended() {
    run(async {
        let (mut client, mut backend, _) = tunnel(0);
        client.write_all(b"up").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        backend.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "early up");
        // The other direction goes on.
        let writing = async move {
            backend.write_all(&[b'x'; 100_000]).await.unwrap();
            drop(backend);
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(writing, client.read_to_end(&mut heard));
        assert_eq!(read.unwrap(), 6 + 100_000);
        assert!(heard.starts_with(b"ahead x"));
    });
}

#[test]
fn who_does_not_read_is_waited_for() {
    run(async {
        let (mut client, mut backend, _) = tunnel(0);
        let mut sent = 0;
        let all = TUNNEL_BUFFER_BYTES * 4;
        while sent < all {
            let more = client.write(&[b'x'; 64]);
            match tokio::time::timeout(std::time::Duration::from_millis(100), more).await {
                Ok(count) => sent += count.unwrap(),
                Err(_) => break,
            }
        }
        assert!(sent < all, "what is not read is not taken for ever");
        let mut heard = vec![0; sent + 6];
        backend.read_exact(&mut heard).await.unwrap();
    });
}

#[test]
fn a_quiet_tunnel_is_closed() {
    run(async {
        let (mut client, mut backend, stats) = tunnel(50);
        let mut heard = Vec::new();
        backend.read_to_end(&mut heard).await.unwrap();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"early ahead ");
        assert_eq!(stats.tunnels_idle.get(), 1);
    });
}
