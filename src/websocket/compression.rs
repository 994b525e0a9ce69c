//! What is compressed on which hop of a WebSocket (specification, WebSockets 2.7): agreed on in the
//! handshake with the client by `accept`, with a WebSocket backend by `passthrough`.
//!
//! What was agreed on with the client is kept as the [`Form`] in which it gets what is published.

use http::HeaderValue;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::upgrade::Outcome;
use crate::forward::context::Context;
use crate::forward::shared::Compression;
use crate::session::socket::Form;
use crate::stats::Stats;
use crate::ws::compression::{Agreed, accept};
use crate::ws::reader::Inflation;
use crate::ws::writer::Deflation;

/// How one hop is compressed, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// What comes from the other side.
    pub inflation: Inflation,
    /// What goes there; `None`: as it is.
    pub deflation: Option<Deflation>,
}

impl Hop {
    /// The hop to a client that gets published messages in this form.
    #[must_use]
    pub fn of_client(form: Form, settings: &Compression) -> Hop {
        match form {
            Form::Deflated { window_bits } => {
                let deflation = Deflation { window_bits, bytes_min: settings.bytes_min };
                Hop { inflation: Inflation::EachMessage, deflation: Some(deflation) }
            }
            Form::Plain | Form::Quoted => Hop::default(),
        }
    }

    /// The hop to a backend that has agreed to this, if it did.
    #[must_use]
    pub fn of_backend(agreed: Option<Agreed>, settings: &Compression) -> Hop {
        let Some(Agreed { inflation, window_bits }) = agreed else { return Hop::default() };
        let bytes_min = settings.bytes_min;
        Hop {
            inflation,
            deflation: window_bits.map(|bits| Deflation { window_bits: bits, bytes_min }),
        }
    }
}

/// Takes up a client's offer, if there is one that can be taken: what the 101 is to say of it.
pub fn agree(settings: &Compression, context: &mut Context) -> Option<HeaderValue> {
    if !settings.allowed || context.form != Form::Plain {
        return None;
    }
    let accepted = accept(&context.headers)?;
    context.form = Form::Deflated { window_bits: accepted.window_bits };
    Some(accepted.answer)
}

/// Says so in the 101, if it came to one.
#[must_use]
pub fn announce(stats: &Stats, mut outcome: Outcome, answer: Option<HeaderValue>) -> Outcome {
    if let (Outcome::Accepted { response, .. }, Some(answer)) = (&mut outcome, answer) {
        stats.sockets_compressed.inc();
        response.headers_mut().append(SEC_WEBSOCKET_EXTENSIONS, answer);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::context;

    fn offering(form: Form) -> Context {
        let mut context = context("/", None);
        let mut headers = (*context.headers).clone();
        let offer = "permessage-deflate; server_max_window_bits=10";
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        context.headers = headers.into();
        context.form = form;
        context
    }

    #[test]
    fn an_offer_is_taken_where_it_is_allowed() {
        let allowed = Compression { allowed: true, bytes_min: 7 };
        let mut one = offering(Form::Plain);
        assert!(agree(&allowed, &mut one).is_some());
        assert_eq!(one.form, Form::Deflated { window_bits: 10 });
        let hop = Hop::of_client(one.form, &allowed);
        assert_eq!(hop.inflation, Inflation::EachMessage);
        assert_eq!(hop.deflation, Some(Deflation { window_bits: 10, bytes_min: 7 }));

        let mut one = offering(Form::Plain);
        assert_eq!(agree(&Compression::default(), &mut one), None);
        assert_eq!(one.form, Form::Plain);
        // A SockJS session has no frames of its own.
        let mut one = offering(Form::Quoted);
        assert_eq!(agree(&allowed, &mut one), None);
        assert_eq!(Hop::of_client(one.form, &allowed), Hop::default());
    }

    #[test]
    fn a_backend_may_want_what_zlib_cannot() {
        let settings = Compression::default();
        assert_eq!(Hop::of_backend(None, &settings), Hop::default());
        let agreed = Agreed { inflation: Inflation::InContext, window_bits: None };
        let hop = Hop::of_backend(Some(agreed), &settings);
        assert_eq!(hop, Hop { inflation: Inflation::InContext, deflation: None });
    }
}
