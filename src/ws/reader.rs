//! Bytes of frames into pieces of messages, incrementally.
//!
//! A [`Reader`] is fed what came from one side of a WebSocket and gives pieces as soon as they are
//! there: parts of messages (not yet whole, so that they can be relayed while they come) and whole
//! control frames. Between frames it is a pointer and a flag. Used by `messages` and by `proxy`.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::frame::{self, Head, Opcode, Parsed};

/// Whose frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client: every frame must be masked.
    Client,
    /// A server: no frame may be masked.
    Server,
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

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The head of a frame has no meaning.
    #[error(transparent)]
    Head(#[from] frame::HeadError),
    /// A reserved bit is set although no extension was negotiated that gives it a meaning.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// A client's frame must be masked.
    #[error("a client's frame is not masked")]
    NotMasked,
    /// A server's frame must not be masked.
    #[error("a server's frame is masked")]
    Masked,
    /// A continuation, and no message is open.
    #[error("a continuation without a message")]
    StrayContinuation,
    /// A new message before the last one ended.
    #[error("a message begins within a message")]
    NestedMessage,
    /// Control frames have one frame.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// Control frames are short.
    #[error("a control frame of {0} bytes")]
    LongControl(u64),
    /// A CLOSE has a code, which is two bytes, or nothing.
    #[error("a CLOSE of one byte")]
    CloseLength,
    /// A text message is text. Only where messages are collected: who relays leaves it to the
    /// backend.
    #[error("a text message is not UTF-8")]
    NotUtf8,
    /// The reason of a CLOSE is text.
    #[error("the reason of a CLOSE is not UTF-8")]
    CloseReason,
    /// A message over the limit of whoever collects messages.
    #[error("a message of more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A frame over the limit.
    #[error("a frame of more than {limit_bytes} bytes")]
    LongFrame {
        /// The limit.
        limit_bytes: u64,
    },
    /// A message in more frames than the limit.
    #[error("a message in more than {limit} frames")]
    Fragments {
        /// The limit.
        limit: u64,
    },
}

impl Violation {
    /// The code with which the peer's connection is closed (RFC 6455, 7.4.1).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Violation::CloseReason | Violation::NotUtf8 => 1007,
            Violation::TooLarge { .. } | Violation::LongFrame { .. } => 1009,
            Violation::Fragments { .. } => 1008,
            _ => 1002,
        }
    }

    /// Whether only a bound was passed, and no rule of the protocol.
    #[must_use]
    pub fn is_excess(&self) -> bool {
        use Violation::{Fragments, LongFrame, TooLarge};
        matches!(self, TooLarge { .. } | LongFrame { .. } | Fragments { .. })
    }
}

/// Reads one side of one WebSocket.
#[derive(Debug)]
pub struct Reader {
    /// Absent between frames.
    partial: Option<Box<Partial>>,
    /// The message of which the last fragment has not come yet.
    open: Option<DataKind>,
    sender: Sender,
}

#[derive(Debug, Default)]
struct Partial {
    input: BytesMut,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
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
        Reader { partial: None, open: None, sender }
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
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let frame = match partial.frame {
            Some(frame) => frame,
            None => match frame::head(&partial.input)? {
                Parsed::Needs(_) => {
                    if partial.input.is_empty() {
                        self.partial = None;
                    }
                    return Ok(None);
                }
                Parsed::Head(head, taken) => {
                    check(&head, self.sender, self.open)?;
                    partial.input.advance(taken);
                    let first = !head.opcode.is_control() && self.open.is_none();
                    *partial.frame.insert(Frame { head, taken: 0, first })
                }
            },
        };
        if frame.head.opcode.is_control() {
            return self.control(&frame.head);
        }
        Ok(self.data(frame, hold_back))
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
        let kind = match frame.head.opcode {
            Opcode::Text => DataKind::Text,
            Opcode::Binary => DataKind::Binary,
            _ => self.open?,
        };
        let last = complete && frame.head.fin;
        partial.frame = (!complete).then_some(Frame {
            taken: frame.taken + there as u64,
            first: false,
            ..frame
        });
        self.open = (!last).then_some(kind);
        Some(Piece::Data { kind, first: frame.first, last, frame_end: complete, bytes })
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
}

fn check(head: &Head, sender: Sender, open: Option<DataKind>) -> Result<(), Violation> {
    if head.reserved != 0 {
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
