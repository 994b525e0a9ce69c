//! `Grip-*` response headers into an Instruction (specification, GRIP 1.2 to 1.5).

use bytes::Bytes;
use http::HeaderMap;

use super::instruction::Instruction;

/// Why an instruction cannot be carried out. The text is normative.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InstructError {
    /// The message, as the specification words it; shown to the client in debug mode.
    pub message: String,
    /// The header or member at fault, for the log.
    pub field: &'static str,
}

/// Whether a backend response carries an instruction at all: its content type up to `;` is exactly
/// `application/grip-instruct`, or any header name starts with `Grip-`.
#[must_use]
pub fn is_instruction(headers: &HeaderMap) -> bool {
    let _ = headers;
    todo!()
}

/// Reads the instruction of a response: its `Grip-*` headers and, with content type
/// `application/grip-instruct`, its body as a document.
pub fn instruction(
    code: u16,
    reason: Option<&[u8]>,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Instruction, InstructError> {
    let _ = (code, reason, headers, body);
    todo!()
}
