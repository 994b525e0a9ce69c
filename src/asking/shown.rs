//! What an instruction shows the client at once, as hyper writes it.
//!
//! Called by `hold` for instructions that hold nothing, and for the beginnings of streams. What a
//! held long-poll gets is written by `session::answer`.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::body::Body;
use crate::forward::access::Access;
use crate::grip::headers::InstructError;
use crate::grip::instruction::Response as Shown;
use crate::http::spelling;
use crate::wire::names;

/// An answer that is here whole; `code` is what the access line says.
pub fn whole(response: Response<Bytes>, code: u16, access: &mut Option<Access>) -> Response<Body> {
    let access = access.take();
    if let Some(access) = &access {
        access.set_status(code);
    }
    response.map(|bytes| Body::whole(bytes, access))
}

/// The head of what an instruction shows the client.
///
/// # Errors
/// When it could not be written.
pub fn head(shown: &Shown) -> Result<Response<()>, InstructError> {
    let status = StatusCode::from_u16(shown.code).ok();
    // An interim status ends no answer: its client would wait for ever.
    let status =
        status.filter(|status| !status.is_informational()).ok_or_else(|| InstructError {
            message: format!("status code {} can only answer a held long-poll", shown.code),
            field: "Grip-Status",
        })?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    for field in &shown.headers {
        let name = HeaderName::from_bytes(&field.name);
        let value = HeaderValue::from_bytes(&field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            let name = String::from_utf8_lossy(&field.name);
            let message = format!("header '{name}' cannot be sent");
            return Err(InstructError { message, field: "headers" });
        };
        response.headers_mut().append(name, value);
    }
    let unusual = shown.headers.iter().any(|field| !names::is_usual(&field.name));
    if unusual {
        let all: Vec<&[u8]> = shown.headers.iter().flat_map(|f| [&f.name[..], b":"]).collect();
        let all = all.concat();
        *response.extensions_mut() = spelling::for_hyper(&all);
        response.extensions_mut().insert(names::Spelling::new(&all));
    }
    crate::http::set_reason(&mut response, &shown.reason);
    Ok(response)
}
