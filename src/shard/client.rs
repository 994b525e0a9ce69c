//! What a parked client's bytes mean, and its leaving: told to whoever holds its session.

use std::rc::Rc;

use super::state::Shard;
use crate::hub::slab::SessionId;
use crate::websocket::sockets::Flow;

/// Gives a WebSocket what its client sent; whether there may be more to read.
pub fn received(shard: &Rc<Shard>, id: SessionId, bytes: &[u8]) -> bool {
    match shard.proxy.sockets().received(id, bytes) {
        Flow::Read => return true,
        Flow::Pause => shard.hub.set_reading(id, false),
        Flow::Close => end(shard, id),
    }
    false
}

/// The client's connection is over.
pub fn end(shard: &Rc<Shard>, id: SessionId) {
    shard.proxy.sockets().gone(id);
    shard.hub.close(id);
    shard.made_room();
}
