//! Whole responses on a connection that stays open, one after the other, from pieces of any size.
//! Pure: the publishers, the clients of a proxy and TLS clients feed it what they read.

use crate::failure::Fault;
use crate::head::{Head, protocol};

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A head.
    Head(Head),
    /// Some of the body.
    Body {
        /// Where in the body.
        at: usize,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The response is complete.
    End,
}

/// The responses of one connection.
#[derive(Default)]
pub struct Responses {
    head: Vec<u8>,
    /// Of the body that is being read: where, and its length.
    body: Option<(usize, usize)>,
}

impl Responses {
    /// Hands the parts of what `bytes` completes to `each`, in order. Only responses with a
    /// `Content-Length` are understood.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Part<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let Some((at, length)) = self.body else {
                bytes = self.open(bytes, &mut each)?;
                continue;
            };
            let (now, later) = bytes.split_at(bytes.len().min(length - at));
            each(Part::Body { at, bytes: now })?;
            bytes = later;
            self.body = Some((at + now.len(), length));
            self.end_if_complete(&mut each)?;
        }
        Ok(())
    }

    /// Takes bytes of a head; returns those behind it.
    fn open<'a>(
        &mut self,
        bytes: &'a [u8],
        each: &mut impl FnMut(Part<'_>) -> Result<(), Fault>,
    ) -> Result<&'a [u8], Fault> {
        let (parsed, kept) = if self.head.is_empty() {
            (Head::parse(bytes)?, 0)
        } else {
            let kept = self.head.len();
            self.head.extend_from_slice(bytes);
            (Head::parse(&self.head)?, kept)
        };
        let Some(head) = parsed else {
            if kept == 0 {
                self.head.extend_from_slice(bytes);
            }
            return Ok(&[]);
        };
        let length = head
            .length
            .filter(|_| !head.chunked)
            .ok_or_else(|| protocol("a response without Content-Length", bytes))?;
        self.head.clear();
        self.body = Some((0, length));
        each(Part::Head(head))?;
        self.end_if_complete(each)?;
        Ok(bytes.get(head.size - kept..).unwrap_or_default())
    }

    fn end_if_complete(
        &mut self,
        each: &mut impl FnMut(Part<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.body.is_some_and(|(at, length)| at == length) {
            self.body = None;
            each(Part::End)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(responses: &mut Responses, bytes: &[u8]) -> Result<String, Fault> {
        let mut out = String::new();
        responses.feed(bytes, |part| {
            match part {
                Part::Head(head) => out += &head.status.to_string(),
                Part::Body { bytes, .. } => out += &String::from_utf8_lossy(bytes),
                Part::End => out += ";",
            }
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn reads_several_in_pieces_of_any_size() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 201 C\r\ncontent-length:1\r\n\r\n!";
        for size in 1..wire.len() {
            let mut responses = Responses::default();
            let read: Result<String, Fault> =
                wire.chunks(size).map(|piece| text(&mut responses, piece)).collect();
            assert_eq!(read.as_deref(), Ok("200hello;204;201!;"), "pieces of {size}");
            assert!(responses.head.is_empty() && responses.body.is_none());
        }
    }

    #[test]
    fn wants_a_length() {
        let mut responses = Responses::default();
        assert!(text(&mut responses, b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(text(&mut Responses::default(), both).is_err());
    }
}
