//! Bytes of frames into pieces of messages, incrementally.
//!
//! A [`Reader`] is fed what came from one side of a WebSocket and gives pieces as soon as they are
//! there: parts of messages (not yet whole, so that they can be relayed while they come) and whole
//! control frames. What is deflated is inflated here. Between messages it is a pointer and some
//! flags, unless its sender goes back to earlier messages. Used by `messages` and by `proxy`.

use bytes::{Buf, Bytes, BytesMut};

use super::inflating::{Inflating, Part};
pub use super::violation::Violation;
use crate::wire::frame::{self, Head, Opcode, Parsed};
use crate::wire::inflate::Inflater;

/// RSV1: the message is deflated (RFC 7692, section 6).
pub const DEFLATED: u8 = 4;

/// Whose frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client: every frame must be masked.
    Client,
    /// A server: no frame may be masked.
    Server,
}

/// Whether the sender may deflate its messages, and how they are then inflated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inflation {
    /// It may not.
    #[default]
    None,
    /// Each message for itself (`no_context_takeover`).
    EachMessage,
    /// Messages may refer to earlier ones: what they may refer to is kept between them.
    InContext,
}

/// What kind of message a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// A text message; whether it is UTF-8 is not looked at.
    Text,
    /// A binary message.
    Binary,
}

/// A CLOSE: its code and reason (UTF-8), if it has any.
pub type Close = Option<(u16, Bytes)>;

/// Something that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A part of a message, wherever the bytes happened to be cut.
    Data {
        /// The message's kind.
        kind: DataKind,
        /// The message begins here.
        first: bool,
        /// The message ends here.
        last: bool,
        /// The frame that it came in ends here.
        frame_end: bool,
        /// Unmasked bytes; may be empty.
        bytes: Bytes,
    },
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The other side's last frame; what follows it means nothing.
    Close(Close),
}

/// Reads one side of one WebSocket.
#[derive(Debug)]
pub struct Reader {
    /// Absent between frames.
    partial: Option<Box<Partial>>,
    /// The message of which the last fragment has not come yet.
    open: Option<DataKind>,
    sender: Sender,
    inflation: Inflation,
}

#[derive(Debug, Default)]
struct Partial {
    input: BytesMut,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that is open, if it is deflated.
    inflating: Option<Inflating>,
    /// What the next message may refer to.
    context: Option<Inflater>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    head: Head,
    taken: u64,
    /// Its first bytes begin a message.
    first: bool,
}

impl Reader {
    /// A reader of `sender`'s frames.
    #[must_use]
    pub fn new(sender: Sender) -> Reader {
        Reader { partial: None, open: None, sender, inflation: Inflation::None }
    }

    /// The same for a sender that may deflate its messages.
    #[must_use]
    pub fn inflating(self, inflation: Inflation) -> Reader {
        Reader { inflation, ..self }
    }

    /// Whose frames it reads.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// Takes what came. `next` then gives the pieces.
    pub fn feed(&mut self, bytes: BytesMut) {
        if bytes.is_empty() {
            return;
        }
        let input = &mut self.partial.get_or_insert_default().input;
        if input.is_empty() {
            *input = bytes;
        } else {
            input.extend_from_slice(&bytes);
        }
    }

    /// The next piece, as far as it has come; `None` when more bytes are needed.
    ///
    /// The first piece of a message has at least `hold_back` bytes, unless its frame is shorter: so
    /// a rule that looks at how a message begins need not put pieces together. After an error the
    /// reader is of no more use.
    pub fn next(&mut self, hold_back: usize) -> Result<Option<Piece>, Violation> {
        loop {
            let Some(partial) = &mut self.partial else { return Ok(None) };
            if let Some(inflating) = &mut partial.inflating
                && let Some(part) = inflating.next(hold_back)?
            {
                return self.inflated(part);
            }
            let Some(frame) = self.frame()? else { return Ok(None) };
            if frame.head.opcode.is_control() {
                return self.control(&frame.head);
            }
            let Some(partial) = &mut self.partial else { return Ok(None) };
            if partial.inflating.is_none() {
                return Ok(self.data(frame, hold_back));
            }
            if !partial.put(frame) {
                return Ok(None);
            }
        }
    }

    /// The frame that is being read; `None` when its head has not come.
    fn frame(&mut self) -> Result<Option<Frame>, Violation> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        if partial.frame.is_some() {
            return Ok(partial.frame);
        }
        let (head, taken) = match frame::head(&partial.input)? {
            Parsed::Head(head, taken) => (head, taken),
            Parsed::Needs(_) => {
                if partial.input.is_empty() {
                    // It may be the rest of a large buffer.
                    partial.input = BytesMut::new();
                    if partial.inflating.is_none() && partial.context.is_none() {
                        self.partial = None;
                    }
                }
                return Ok(None);
            }
        };
        check(&head, self.sender, self.inflation, self.open)?;
        partial.input.advance(taken);
        let first = !head.opcode.is_control() && self.open.is_none();
        if first && head.reserved == DEFLATED {
            partial.inflating = Some(Inflating::new(partial.context.take().unwrap_or_default()));
            self.open = kind(head.opcode);
        }
        Ok(Some(*partial.frame.insert(Frame { head, taken: 0, first })))
    }

    fn control(&mut self, head: &Head) -> Result<Option<Piece>, Violation> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        // `check` has bounded it.
        let length = usize::try_from(head.payload_bytes).unwrap_or(usize::MAX);
        if partial.input.len() < length {
            return Ok(None);
        }
        let payload = partial.payload(head, 0, length);
        partial.frame = None;
        Ok(Some(match head.opcode {
            Opcode::Ping => Piece::Ping(payload),
            Opcode::Pong => Piece::Pong(payload),
            _ => Piece::Close(read_close(payload)?),
        }))
    }

    fn data(&mut self, frame: Frame, hold_back: usize) -> Option<Piece> {
        let partial = self.partial.as_mut()?;
        let remaining = frame.head.payload_bytes - frame.taken;
        let there = usize::try_from(remaining).unwrap_or(usize::MAX).min(partial.input.len());
        let complete = there as u64 == remaining;
        if !complete && (there == 0 || (frame.first && there < hold_back)) {
            return None;
        }
        let bytes = partial.payload(&frame.head, (frame.taken & 3) as usize, there);
        let kind = kind(frame.head.opcode).or(self.open)?;
        let last = complete && frame.head.fin;
        partial.frame = frame.rest(there);
        self.open = (!last).then_some(kind);
        Some(Piece::Data { kind, first: frame.first, last, frame_end: complete, bytes })
    }

    /// A part of the deflated message that is open.
    fn inflated(&mut self, part: Part) -> Result<Option<Piece>, Violation> {
        let Some(kind) = self.open else { return Ok(None) };
        let Part { first, frame_end, last, bytes } = part;
        if last && let Some(partial) = &mut self.partial {
            self.open = None;
            match (partial.inflating.take(), self.inflation) {
                (Some(whole), Inflation::InContext) => partial.context = Some(whole.into_context()),
                (Some(whole), _) => whole.finish()?,
                (None, _) => {}
            }
        }
        Ok(Some(Piece::Data { kind, first, last, frame_end, bytes }))
    }

    /// Whether a message is partly read.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.open.is_some()
    }
}

impl Partial {
    /// Takes `length` bytes of payload, which must be there, and unmasks them.
    fn payload(&mut self, head: &Head, offset: usize, length: usize) -> Bytes {
        let mut payload = self.input.split_to(length.min(self.input.len()));
        if let Some(key) = head.mask {
            frame::mask(&mut payload, key, offset);
        }
        payload.freeze()
    }

    /// Gives what has come of a frame to the message that is inflated. `false`: nothing has.
    fn put(&mut self, frame: Frame) -> bool {
        let remaining = frame.head.payload_bytes - frame.taken;
        let there = usize::try_from(remaining).unwrap_or(usize::MAX).min(self.input.len());
        let complete = there as u64 == remaining;
        if !complete && there == 0 {
            return false;
        }
        let payload = self.payload(&frame.head, (frame.taken & 3) as usize, there);
        if let Some(inflating) = &mut self.inflating {
            inflating.put(payload, complete, complete && frame.head.fin);
        }
        self.frame = frame.rest(there);
        true
    }
}

impl Frame {
    /// What is left of it after so many further bytes.
    fn rest(self, bytes: usize) -> Option<Frame> {
        let taken = self.taken + bytes as u64;
        (taken < self.head.payload_bytes).then_some(Frame { taken, first: false, ..self })
    }
}

fn kind(opcode: Opcode) -> Option<DataKind> {
    match opcode {
        Opcode::Text => Some(DataKind::Text),
        Opcode::Binary => Some(DataKind::Binary),
        _ => None,
    }
}

/// Only the first frame of a message says that it is deflated.
fn may_reserve(head: &Head, inflation: Inflation) -> bool {
    let deflated = head.reserved == DEFLATED && inflation != Inflation::None;
    head.reserved == 0 || (deflated && kind(head.opcode).is_some())
}

fn check(
    head: &Head,
    sender: Sender,
    inflation: Inflation,
    open: Option<DataKind>,
) -> Result<(), Violation> {
    if !may_reserve(head, inflation) {
        return Err(Violation::ReservedBit);
    }
    match (sender, head.mask) {
        (Sender::Client, None) => return Err(Violation::NotMasked),
        (Sender::Server, Some(_)) => return Err(Violation::Masked),
        _ => {}
    }
    match head.opcode {
        Opcode::Continuation if open.is_none() => Err(Violation::StrayContinuation),
        Opcode::Text | Opcode::Binary if open.is_some() => Err(Violation::NestedMessage),
        Opcode::Close | Opcode::Ping | Opcode::Pong => {
            if !head.fin {
                return Err(Violation::FragmentedControl);
            }
            if head.payload_bytes > frame::CONTROL_BYTES_MAX as u64 {
                return Err(Violation::LongControl(head.payload_bytes));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn read_close(payload: Bytes) -> Result<Close, Violation> {
    if payload.len() == 1 {
        return Err(Violation::CloseLength);
    }
    let Some((code, reason)) = payload.split_first_chunk() else { return Ok(None) };
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::CloseReason);
    }
    Ok(Some((u16::from_be_bytes(*code), payload.slice(2..))))
}

#[cfg(test)]
mod tests;
