//! What is agreed on about permessage-deflate, in both roles (RFC 7692, section 7.1; specification,
//! WebSockets 2.7).
//!
//! Called by `proxy` in the handshake: with clients we are the server, with backends the client.
//! Pure. Neither side of ours remembers anything between messages: see the answer and the offer.

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::list::{Extension, ListError, extensions};
use super::reader::Inflation;
use crate::wire::deflate::{WINDOW_BITS_MAX, WINDOW_BITS_MIN};

const NAME: &[u8] = b"permessage-deflate";
/// To clients: neither side goes back to earlier messages, so that an idle connection keeps
/// nothing, and what is published is deflated once for all.
const ANSWER: &str = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
/// To backends the same, but they may keep to their own ways; a smaller window we could use.
const OFFER: &str = concat!(
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover; ",
    "client_max_window_bits"
);

/// What has been agreed on with a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What we deflate reaches back `2^window_bits` bytes: 9 to 15.
    pub window_bits: u8,
    /// The element of the 101 that says so.
    pub answer: HeaderValue,
}

/// What a backend has agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How its messages are read.
    pub inflation: Inflation,
    /// What we deflate may reach back so far (9 to 15). `None`: we cannot, and send messages as
    /// they are.
    pub window_bits: Option<u8>,
}

/// Why a backend's answer is none to our offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No list of extensions.
    #[error(transparent)]
    List(#[from] ListError),
    /// We did not offer it.
    #[error("permessage-deflate was not offered")]
    NotOffered,
    /// More than one answer.
    #[error("permessage-deflate is answered twice")]
    Twice,
    /// A parameter that is unknown or repeated, or whose value is none.
    #[error("permessage-deflate is answered with a parameter that means nothing")]
    Parameter,
}

/// The parameters of one element, each of them known, valid and there at most once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Window>,
    client_max_window_bits: Option<Window>,
}

/// The value of a window parameter: 8 to 15, if it has one.
type Window = Option<u8>;

impl Parameters {
    /// `None` for what is not valid.
    fn read(extension: &Extension<'_>) -> Option<Parameters> {
        let mut read = Parameters::default();
        for parameter in &extension.parameters {
            let value = parameter.value.as_deref();
            let is_repeated = match parameter.name {
                b"server_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                b"client_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                b"server_max_window_bits" => {
                    let bits = Some(window_bits(value?)?);
                    read.server_max_window_bits.replace(bits).is_some()
                }
                b"client_max_window_bits" => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    read.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if is_repeated {
                return None;
            }
        }
        Some(read)
    }
}

/// 8 to 15, without leading zeros.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// Whether zlib can do it.
fn can_deflate(bits: u8) -> bool {
    (WINDOW_BITS_MIN..=WINDOW_BITS_MAX).contains(&bits)
}

/// Takes the first of a client's offers that can be taken. What is no list is no offer.
#[must_use]
pub fn accept(request: &HeaderMap) -> Option<Accepted> {
    extensions(request)
        .map_while(Result::ok)
        .filter(|extension| extension.name == NAME)
        .filter_map(|extension| Parameters::read(&extension))
        .find_map(|offered| accept_one(&offered))
}

fn accept_one(offered: &Parameters) -> Option<Accepted> {
    // A client's own window may be as large as it likes: it is inflated without asking.
    match offered.server_max_window_bits.flatten() {
        None => Some(Accepted {
            window_bits: WINDOW_BITS_MAX,
            answer: HeaderValue::from_static(ANSWER),
        }),
        Some(bits) if can_deflate(bits) => {
            let answer = format!("{ANSWER}; server_max_window_bits={bits}");
            let answer = HeaderValue::try_from(answer).ok()?;
            Some(Accepted { window_bits: bits, answer })
        }
        Some(_) => None,
    }
}

/// Adds our offer to a request for a backend.
pub fn offer(request: &mut HeaderMap) {
    request.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(OFFER));
}

/// Reads what a backend answers; `None` when it does not want to.
pub fn answered(headers: &HeaderMap, offered: bool) -> Result<Option<Agreed>, AnswerError> {
    let mut agreed = None;
    for extension in extensions(headers) {
        let extension = extension?;
        if extension.name != NAME {
            continue;
        }
        if !offered {
            return Err(AnswerError::NotOffered);
        }
        if agreed.is_some() {
            return Err(AnswerError::Twice);
        }
        let read = Parameters::read(&extension).ok_or(AnswerError::Parameter)?;
        let window_bits = match read.client_max_window_bits {
            None => Some(WINDOW_BITS_MAX),
            // An answer says how large.
            Some(None) => return Err(AnswerError::Parameter),
            Some(Some(bits)) => Some(bits).filter(|bits| can_deflate(*bits)),
        };
        let inflation = match read.server_no_context_takeover {
            true => Inflation::EachMessage,
            false => Inflation::InContext,
        };
        agreed = Some(Agreed { inflation, window_bits });
    }
    Ok(agreed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// The window that is agreed on; the answer is looked at here.
    fn accepted(values: &[&str]) -> Option<u8> {
        let accepted = accept(&lines(values))?;
        let answer = accepted.answer.to_str().unwrap();
        let rest = answer.strip_prefix(ANSWER).unwrap();
        let echoed = format!("; server_max_window_bits={}", accepted.window_bits);
        assert!(rest == echoed || (rest.is_empty() && accepted.window_bits == 15), "{answer}");
        let asked = values.iter().any(|value| value.contains("server_max_window_bits"));
        assert!(!rest.is_empty() <= asked);
        Some(accepted.window_bits)
    }

    #[test]
    fn offers_that_are_taken() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=\"10\"",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
        ] {
            assert_eq!(accepted(&[offer]), Some(15), "{offer}");
        }
        for bits in 9..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(accepted(&[&offer]), Some(bits));
        }
    }

    #[test]
    fn offers_that_are_not() {
        for offer in [
            "",
            "Permessage-Deflate",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; client_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover=",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; level=9",
            "permessage-deflate; ",
            "permessage-deflate; client_max_window_bits=\"1",
        ] {
            assert_eq!(accepted(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn the_first_that_fits_is_taken() {
        let first = "permessage-deflate; server_max_window_bits=8, foo; bar=\"permessage-deflate\"";
        let then = "permessage-deflate; server_max_window_bits=11, permessage-deflate";
        assert_eq!(accepted(&[first, then]), Some(11));
        assert_eq!(accepted(&["permessage-deflate; x, permessage-deflate"]), Some(15));
        // What follows what is no list is not read.
        assert_eq!(accepted(&["permessage-deflate, =", "x"]), Some(15));
        assert_eq!(accepted(&["=, permessage-deflate"]), None);
    }

    fn answered_with(answer: &str) -> Result<Option<Agreed>, AnswerError> {
        answered(&lines(&["grip", answer]), true)
    }

    #[test]
    fn answers_of_backends() {
        use Inflation::{EachMessage, InContext};
        for (answer, inflation, window_bits) in [
            ("permessage-deflate", InContext, Some(15)),
            ("permessage-deflate; server_no_context_takeover", EachMessage, Some(15)),
            ("permessage-deflate; client_no_context_takeover", InContext, Some(15)),
            ("permessage-deflate; client_max_window_bits=9", InContext, Some(9)),
            ("permessage-deflate; client_max_window_bits=8", InContext, None),
            ("permessage-deflate; server_max_window_bits=8", InContext, Some(15)),
        ] {
            let agreed = Agreed { inflation, window_bits };
            assert_eq!(answered_with(answer), Ok(Some(agreed)), "{answer}");
        }
        assert_eq!(answered_with("other"), Ok(None));
        assert_eq!(answered(&lines(&["grip"]), false), Ok(None));
    }

    #[test]
    fn answers_that_are_none() {
        let bare = "permessage-deflate";
        assert_eq!(answered(&lines(&[bare]), false), Err(AnswerError::NotOffered));
        assert_eq!(answered(&lines(&[bare, bare]), true), Err(AnswerError::Twice));
        for parameter in [
            "x",
            "client_max_window_bits",
            "client_max_window_bits=16",
            "server_max_window_bits",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
        ] {
            let answer = format!("{bare}; {parameter}");
            assert_eq!(answered_with(&answer), Err(AnswerError::Parameter), "{answer}");
        }
        let quote = ListError::UnterminatedQuote;
        assert_eq!(answered_with("x;y=\"z"), Err(AnswerError::List(quote)));
    }

    #[test]
    fn what_we_answer_ourselves_is_an_answer() {
        let mut request = HeaderMap::new();
        offer(&mut request);
        let answer = accept(&request).unwrap().answer;
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, answer);
        let agreed = Agreed { inflation: Inflation::EachMessage, window_bits: Some(15) };
        assert_eq!(answered(&headers, true), Ok(Some(agreed)));
    }

    proptest! {
        #[test]
        fn any_offer_is_read(
            parameters in prop::collection::vec(
                "(server|client)_(no_context_takeover|max_window_bits)|x", 0..5),
            values in prop::collection::vec("|=|=8|=9|=1[0-6]|=\"15\"|=\"|=0", 5),
        ) {
            let mut offer = "permessage-deflate".to_owned();
            for (name, value) in parameters.iter().zip(&values) {
                offer += &format!("; {name}{value}");
            }
            accepted(&[&offer]);
            if let Ok(Some(agreed)) = answered(&lines(&[&offer]), true) {
                prop_assert!(agreed.window_bits.is_none_or(can_deflate));
            }
        }
    }
}
