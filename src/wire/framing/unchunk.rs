//! A chunked body taken apart (RFC 9112, 7.1): for the bodies of backends' responses. Pure: bytes
//! in, the chunks' own bytes out, shared and not copied.
//!
//! As strict as the guard is with requests: only CR LF ends a line, nothing but an extension may
//! follow a size, and what stands around the chunks is bounded.

use bytes::{Buf, Bytes, BytesMut};

use super::chunk::Chunk;
use super::violation::Kind;

/// Longest line that gives a chunk's size, and most bytes of trailers.
const AROUND_BYTES_MAX: usize = 8 * 1024;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Chunks(Chunk),
    /// In the trailers: so many bytes of the present line; `true` after a CR.
    Trailers {
        line: usize,
        cr: bool,
    },
    Over,
}

/// One chunked body as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unchunk {
    place: Place,
    /// Bytes since the last chunk's own.
    around: usize,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of a chunk.
    Data(Bytes),
    /// More bytes are needed.
    Wanting,
    /// The body has ended; what is left in the buffer is not its own.
    End,
}

impl Default for Unchunk {
    fn default() -> Unchunk {
        Unchunk { place: Place::Chunks(Chunk::FIRST), around: 0 }
    }
}

impl Unchunk {
    /// Takes the next piece off the front of `bytes`. Trailers are passed over.
    ///
    /// # Errors
    /// When it is not a chunked body.
    pub fn next(&mut self, bytes: &mut BytesMut) -> Result<Piece, Kind> {
        loop {
            if let Place::Chunks(Chunk::Data { left }) = self.place {
                return Ok(self.data(bytes, left));
            }
            if self.place == Place::Over {
                return Ok(Piece::End);
            }
            let Some(byte) = bytes.first().copied() else { return Ok(Piece::Wanting) };
            self.around = self.around.saturating_add(1);
            if self.around > AROUND_BYTES_MAX {
                return Err(Kind::ChunkSize);
            }
            self.place = self.step(byte)?;
            bytes.advance(1);
        }
    }

    fn data(&mut self, bytes: &mut BytesMut, left: u64) -> Piece {
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return Piece::Wanting;
        }
        let left = left.saturating_sub(length as u64);
        self.around = 0;
        self.place = Place::Chunks(match left {
            0 => Chunk::End { cr: false },
            left => Chunk::Data { left },
        });
        Piece::Data(bytes.split_to(length).freeze())
    }

    fn step(&self, byte: u8) -> Result<Place, Kind> {
        Ok(match (self.place, byte) {
            (Place::Chunks(chunk), byte) => match chunk.and(byte)? {
                Some(chunk) => Place::Chunks(chunk),
                None => Place::Trailers { line: 0, cr: false },
            },
            (Place::Trailers { line: 0, cr: true }, b'\n') => Place::Over,
            (Place::Trailers { cr: true, .. }, b'\n') => Place::Trailers { line: 0, cr: false },
            (Place::Trailers { cr: true, .. }, _) => return Err(Kind::BareCr),
            (Place::Trailers { .. }, b'\n') => return Err(Kind::BareLf),
            (Place::Trailers { line, .. }, b'\r') => Place::Trailers { line, cr: true },
            (Place::Trailers { line, .. }, _) => {
                Place::Trailers { line: line.saturating_add(1), cr: false }
            }
            (Place::Over, _) => Place::Over,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out of a body that arrives in runs of so many bytes, and what is left.
    fn taken(body: &[u8], run: usize) -> Result<(Vec<u8>, bool, usize), Kind> {
        let (mut unchunk, mut buffer, mut out) = (Unchunk::default(), BytesMut::new(), Vec::new());
        for part in body.chunks(run.max(1)) {
            buffer.extend_from_slice(part);
            while let Piece::Data(data) = unchunk.next(&mut buffer)? {
                out.extend_from_slice(&data);
            }
        }
        let over = unchunk.next(&mut buffer)? == Piece::End;
        Ok((out, over, buffer.len()))
    }

    #[test]
    fn chunks_extensions_and_trailers() {
        let body = b"4\r\nWiki\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: 1\r\nU: 2\r\n\r\nnext";
        for run in 1..body.len() + 1 {
            let (out, over, left) = taken(&body[..body.len() - 4], run).unwrap();
            assert_eq!((&out[..], over, left), (&b"Wiki0123456789"[..], true, 0), "{run}");
        }
        assert_eq!(taken(body, 1000).unwrap().2, 4);
        assert_eq!(taken(b"0\r\n\r\n", 1).unwrap(), (vec![], true, 0));
        assert_eq!(taken(b"4\r\nWi", 1).unwrap(), (b"Wi".to_vec(), false, 0));
    }

    #[test]
    fn what_is_in_doubt_is_refused() {
        for (body, kind) in [
            (&b"4\nWiki\r\n"[..], Kind::ChunkSize),
            (b"x\r\n", Kind::ChunkSize),
            (b"\r\n", Kind::ChunkSize),
            (b"-1\r\n", Kind::ChunkSize),
            (b"4\r\nWikix", Kind::ChunkSuffix),
            (b"4\r\nWiki\n", Kind::ChunkSuffix),
            (b"100000000\r\n", Kind::ChunkTooLarge),
            (b"0\r\n\n", Kind::BareLf),
            (b"0\r\nT: 1\n", Kind::BareLf),
            (b"0\r\nT: 1\rx", Kind::BareCr),
        ] {
            assert_eq!(taken(body, 1000).err(), Some(kind), "{}", body.escape_ascii());
        }
        let long = [b"1;".as_slice(), &[b'x'; AROUND_BYTES_MAX]].concat();
        assert_eq!(taken(&long, 100).err(), Some(Kind::ChunkSize));
        let trailers = [b"0\r\n".as_slice(), &b"T: x\r\n".repeat(2000)].concat();
        assert_eq!(taken(&trailers, 100).err(), Some(Kind::ChunkSize));
    }

    proptest! {
        #[test]
        fn what_is_chunked_comes_out_again(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            run in 1_usize..40,
        ) {
            let mut body = Vec::new();
            for part in &parts {
                body.extend_from_slice(&crate::wire::http1::chunk(part));
            }
            body.extend_from_slice(crate::wire::http1::LAST_CHUNK);
            prop_assert_eq!(taken(&body, run), Ok((parts.concat(), true, 0)));
        }

        #[test]
        fn never_panics(body in prop::collection::vec(any::<u8>(), 0..200), run in 1_usize..20) {
            let _ = taken(&body, run);
        }
    }
}
