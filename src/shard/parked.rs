//! A parked socket is ready: it left, sent a frame, began its next request, or takes bytes again.
//!
//! Called by the shard's loop with what the readiness set reports, and after it for what follows:
//! the lot's notices and the hub's effects.

use std::io;
use std::rc::Rc;

use super::client::{end, received};
use super::connection;
use super::lingering::linger;
use super::state::Shard;
use crate::hub::fanout::Then;
use crate::hub::slab::SessionId;
use crate::limits;
use crate::parking::Notice;
use crate::parking::poll::Readiness;

/// Bytes read from one socket at once.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Reads from one socket before the others have their turn.
const READS_AT_ONCE: usize = 8;

/// Does what one socket is ready for.
pub fn ready(shard: &Rc<Shard>, id: SessionId, readiness: Readiness, scratch: &mut [u8]) {
    if readiness.write {
        shard.lot.borrow_mut().flush(id);
    }
    if readiness.read || readiness.left {
        read(shard, id, readiness.left, scratch);
    }
}

fn read(shard: &Rc<Shard>, id: SessionId, left: bool, scratch: &mut [u8]) {
    for _ in 0..READS_AT_ONCE {
        if !shard.lot.borrow_mut().is_reading(id) {
            if left {
                end(shard, id);
            }
            return;
        }
        let got = shard.lot.borrow_mut().read(id, scratch);
        match got {
            Ok(0) => return end(shard, id),
            Ok(n) if shard.hub.with(|registry| registry.is_socket(id)) => {
                if !received(shard, id, &scratch[..n]) {
                    return;
                }
            }
            Ok(n) => shard.lot.borrow_mut().keep(id, &scratch[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return end(shard, id),
        }
    }
    // Plain sockets are reported again; decrypted bytes are not.
    shard.lot.borrow_mut().read_again(id);
}

/// Does what has been left to the shard, until nothing is.
pub fn settle(shard: &Rc<Shard>, scratch: &mut [u8]) {
    loop {
        let notice = shard.lot.borrow_mut().next_notice();
        if let Some(notice) = notice {
            heed(shard, notice, scratch);
            continue;
        }
        let effect = shard.hub.with(|registry| registry.poll_effect());
        let Some(effect) = effect else { return };
        shard.proxy.effect(&effect);
    }
}

fn heed(shard: &Rc<Shard>, notice: Notice, scratch: &mut [u8]) {
    match notice {
        Notice::Done(id, Then::Reuse) if !shard.is_stopping() => reuse(shard, id),
        Notice::Done(id, Then::Reuse | Then::Close) => close(shard, id, scratch),
        Notice::Broken(id) => end(shard, id),
        // `websocket::sockets` bounds the wait for the client's CLOSE.
        Notice::Done(_, Then::AwaitClose) => {}
        Notice::Drained(id) => shard.proxy.drained(id),
        Notice::Readable(id) => read(shard, id, false, scratch),
    }
}

/// All has been said. A client that is still sending is read from for a moment: closing with unread
/// input would reset the connection, and take the last words with it.
fn close(shard: &Rc<Shard>, id: SessionId, scratch: &mut [u8]) {
    let socket = shard.hub.with(|registry| registry.is_socket(id));
    if !socket || !matches!(shard.lot.borrow_mut().read(id, scratch), Ok(1..)) {
        return end(shard, id);
    }
    shard.proxy.sockets().gone(id);
    let unparked = shard.lot.borrow_mut().unpark(id);
    shard.hub.close(id);
    let ticket = shard.ticket();
    if let Some((stream, _)) = unparked {
        tokio::task::spawn_local(async move {
            linger(stream, limits::WEBSOCKET_LINGER_MS).await;
            drop(ticket);
        });
    }
}

/// The hold has been answered: the connection goes on with its next request.
fn reuse(shard: &Rc<Shard>, id: SessionId) {
    let unparked = shard.lot.borrow_mut().unpark(id);
    shard.hub.close(id);
    if let Some((stream, read_ahead)) = unparked {
        let ticket = shard.ticket();
        tokio::task::spawn_local(connection::serve(shard.clone(), stream, read_ahead, ticket));
    }
}
