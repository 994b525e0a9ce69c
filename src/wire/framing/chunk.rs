//! What stands around the chunks of a chunked body, byte by byte (RFC 9112, 7.1). Only CR LF ends a
//! line here, as in hyper. Used by `framing`.

use super::byte::is_control;
use super::violation::Kind;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the size of a chunk.
    Size { digits: bool, size: u64 },
    /// After the size of a chunk; `true` once in its extensions.
    AfterSize { size: u64, extension: bool },
    /// After the CR of a line that gives a chunk's size.
    SizeCr { size: u64 },
    /// In a chunk, so many bytes before its end.
    Data { left: u64 },
    /// After a chunk. `true` after a CR.
    End { cr: bool },
}

impl Chunk {
    /// Where a chunked body begins.
    pub(super) const FIRST: Chunk = Chunk::Size { digits: false, size: 0 };

    /// This and one more byte, which is not one of a chunk's own; `None` if the trailers follow.
    pub(super) fn and(self, byte: u8) -> Result<Option<Chunk>, Kind> {
        use Chunk::{AfterSize, Data, End, Size, SizeCr};
        Ok(Some(match (self, byte) {
            (Size { size, .. }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = size.saturating_mul(16).saturating_add(u64::from(digit));
                if size > u64::from(u32::MAX) {
                    return Err(Kind::ChunkTooLarge);
                }
                Size { digits: true, size }
            }
            (Size { digits: true, size } | AfterSize { size, .. }, b'\r') => SizeCr { size },
            (AfterSize { size, extension: true }, byte) if !is_control(byte) => {
                AfterSize { size, extension: true }
            }
            (Size { digits: true, size } | AfterSize { size, .. }, b';') => {
                AfterSize { size, extension: true }
            }
            (Size { digits: true, size } | AfterSize { size, .. }, b' ' | b'\t') => {
                AfterSize { size, extension: false }
            }
            (SizeCr { size: 0 }, b'\n') => return Ok(None),
            (SizeCr { size }, b'\n') => Data { left: size },
            (End { cr: false }, b'\r') => End { cr: true },
            (End { cr: true }, b'\n') => Chunk::FIRST,
            (End { .. }, _) => return Err(Kind::ChunkSuffix),
            _ => return Err(Kind::ChunkSize),
        }))
    }

    /// A chunk's line, or its bytes, begin here.
    pub(super) fn begins(self) -> bool {
        matches!(self, Chunk::Data { .. } | Chunk::Size { digits: false, .. })
    }
}
