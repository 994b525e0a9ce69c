//! One endless response in chunks, from pieces of any size: what a held stream reads. Pure; knows
//! nothing of messages.

use memchr::memchr;

use crate::failure::Fault;
use crate::head::{Head, protocol};

/// A line with a chunk's size is no longer than this.
const SIZE_LINE_MAX: usize = 32;

/// A held stream as its client sees it.
#[derive(Default)]
pub struct Stream {
    opened: bool,
    /// Bytes of a head or of a chunk's size that are not all there.
    kept: Vec<u8>,
    /// Bytes of the chunk that are to come, without its line end.
    left: usize,
    /// Bytes of the chunk's line end that are to come.
    end_left: usize,
}

impl Stream {
    /// Whether the response has begun.
    pub fn opened(&self) -> bool {
        self.opened
    }

    /// Hands the content of `bytes` to `content`, in pieces that need not be chunks.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut content: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if !self.opened {
                bytes = self.open(bytes)?;
            } else if self.left > 0 {
                let (now, later) = bytes.split_at(bytes.len().min(self.left));
                content(now)?;
                self.left -= now.len();
                bytes = later;
            } else if self.end_left > 0 {
                let due = if self.end_left == 2 { b'\r' } else { b'\n' };
                if bytes.first() != Some(&due) {
                    return Err(protocol("a chunk without its line end", bytes));
                }
                self.end_left -= 1;
                bytes = bytes.get(1..).unwrap_or_default();
            } else {
                bytes = self.size(bytes)?;
            }
        }
        Ok(())
    }

    fn open<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let kept = self.kept.len();
        self.kept.extend_from_slice(bytes);
        let Some(head) = Head::parse(&self.kept)? else { return Ok(&[]) };
        if head.status != 200 || !head.chunked {
            return Err(protocol("not a stream", &self.kept));
        }
        self.kept = Vec::new();
        self.opened = true;
        Ok(bytes.get(head.size - kept..).unwrap_or_default())
    }

    fn size<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.kept.extend_from_slice(bytes);
            if self.kept.len() > SIZE_LINE_MAX {
                return Err(protocol("a chunk without a size", &self.kept));
            }
            return Ok(&[]);
        };
        let (line, rest) = bytes.split_at(end + 1);
        let size = if self.kept.is_empty() {
            hexadecimal(line)
        } else {
            self.kept.extend_from_slice(line);
            hexadecimal(&self.kept)
        };
        self.left = size.ok_or_else(|| protocol("a chunk without a size", bytes))?;
        if self.left == 0 {
            return Err(protocol("the stream was ended", bytes));
        }
        self.end_left = 2;
        self.kept.clear();
        Ok(rest)
    }
}

fn hexadecimal(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"\r\n")?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)? as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &mut Stream, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        stream.feed(bytes, |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn reads_pieces_of_any_size() {
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n1\r\n \r\n00B\r\neverybody!\n\r\n";
        for size in 1..wire.len() {
            let mut stream = Stream::default();
            let mut out = Vec::new();
            for piece in wire.chunks(size) {
                out.extend(read(&mut stream, piece).expect("a stream"));
            }
            assert_eq!(out, b"hello everybody!\n", "pieces of {size}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for rest in ["0\r\n\r\n", "x\r\n", "\r\n", "2\r\nabc", "123456789\r\n", "2\nab\r\n"] {
            let wire = format!("{head}{rest}");
            assert!(read(&mut Stream::default(), wire.as_bytes()).is_err(), "{rest:?}");
        }
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        assert!(read(&mut Stream::default(), plain).is_err());
    }
}
