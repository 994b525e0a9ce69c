//! Filters of response content: what an instruction shows the client at once is rewritten
//! (specification, GRIP 1.5, 3.1 and 6.1).
//!
//! Called by `hold` before an instruction is carried out. Pure. The bodies of next links are
//! rewritten as they come, by the same rewriter.

use bytes::Bytes;

use crate::grip::channel::Channel;
use crate::grip::filter::{Filters, ResponseRewriter};
use crate::grip::headers::InstructError;
use crate::grip::instruction::{Hold, Instruction};

/// The filters that an instruction names for a channel.
#[must_use]
pub fn filters(channel: &Channel) -> Filters {
    // Whoever read the instruction has counted them.
    Filters::parse(channel.filters.iter().map(|name| &**name)).unwrap_or_default()
}

/// The rewriter of what comes with an instruction: by the filters of all its channels, with its
/// variables, or those that are `set` already. `None` when none of the filters concerns the content
/// of responses.
#[must_use]
pub fn rewriter(
    instruction: &Instruction,
    set: impl Fn(&str) -> Option<Box<str>>,
) -> Option<ResponseRewriter> {
    let lists: Vec<_> = instruction.channels.iter().map(filters).collect();
    let value = |name: &str| {
        let mut variables = instruction.meta.iter();
        match variables.find(|(known, _)| **known == *name) {
            Some((_, value)) => value.clone(),
            None => set(name),
        }
    };
    ResponseRewriter::new(lists.iter().flat_map(Filters::iter), value)
}

/// The instruction with its content rewritten, where it is shown at once: without a hold, or as the
/// beginning of a stream. What answers a long-poll at its time-out stays as it is.
///
/// A stream that cannot begin ends: the error comes with an instruction that holds nothing and
/// shows what the client is told, which is the error in `debug`.
///
/// # Errors
/// When what is to be relayed at once cannot be rewritten.
pub fn filtered(
    mut instruction: Instruction,
    debug: bool,
) -> Result<(Instruction, Option<InstructError>), InstructError> {
    let streams = match instruction.hold {
        Some(Hold::Response) => return Ok((instruction, None)),
        Some(Hold::Stream) => true,
        None => instruction.next.is_some(),
    };
    if streams && instruction.response.body.is_empty() {
        return Ok((instruction, None));
    }
    let Some(rewriter) = rewriter(&instruction, |_| None) else { return Ok((instruction, None)) };
    let error = match rewriter.whole(&instruction.response.body) {
        Ok(body) => {
            instruction.response.body = body;
            return Ok((instruction, None));
        }
        Err(error) => InstructError { message: error.to_string(), field: "body" },
    };
    if !streams {
        return Err(error);
    }
    instruction.response.body = match debug {
        true => format!("\n\n{}\n", error.message).into(),
        false => Bytes::new(),
    };
    (instruction.hold, instruction.next) = (None, None);
    Ok((instruction, Some(error)))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::grip::headers;

    fn instruction(lines: &[(&'static str, &str)], body: &'static str) -> Instruction {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        headers::instruction(200, None, &fields, Bytes::from_static(body.as_bytes())).unwrap()
    }

    const TWO_CHANNELS: (&str, &str) =
        ("grip-channel", "a; filter=x; filter=var-subst, b; filter=build-id");
    const HEX: (&str, &str) = ("grip-set-meta", "id_format=\"\\%\", id_encoding=hex");

    #[test]
    fn what_is_shown_at_once_is_rewritten_for_all_channels_together() {
        for hold in [("grip-foo", ""), ("grip-hold", "stream"), ("grip-link", "</>; rel=next")] {
            let made = instruction(&[TWO_CHANNELS, HEX, hold], "%%%(ab)I");
            let (made, error) = filtered(made, true).unwrap();
            assert_eq!((&made.response.body[..], error), (&b"%6162"[..], None), "{hold:?}");
        }
    }

    #[test]
    fn what_no_filter_concerns_stays() {
        let response = ("grip-hold", "response");
        let others = ("grip-channel", "a; filter=var-subst; filter=skip-self");
        for lines in [&[TWO_CHANNELS, response][..], &[others][..], &[("grip-foo", "")][..]] {
            let made = instruction(lines, "%I");
            assert_eq!(filtered(made.clone(), true).unwrap(), (made, None));
        }
    }

    #[test]
    fn what_is_relayed_at_once_is_refused() {
        let error = |meta, body| filtered(instruction(&[TWO_CHANNELS, meta], body), false);
        let error = |meta, body| error(meta, body).unwrap_err().message;
        let id = "filter error: build-id: No ID specified and no default ID in context";
        assert_eq!(error(HEX, "a%I"), format!("{id} at position 2"));
        let no_format = "filter error: build-id: no sub meta 'id_format'";
        for body in ["", "plain"] {
            assert_eq!(error(("grip-set-meta", "id_format"), body), no_format);
        }
    }

    #[test]
    fn a_stream_ends_with_what_is_wrong() {
        let begin = |body| {
            let link = ("grip-link", "</>; rel=next");
            instruction(&[TWO_CHANNELS, ("grip-hold", "stream"), link], body)
        };
        let said = "filter error: build-id: no sub meta 'id_format'";
        let (made, error) = filtered(begin("x"), true).unwrap();
        assert_eq!(error.unwrap().message, said);
        assert_eq!((made.hold, made.next), (None, None));
        assert_eq!(made.response.body, format!("\n\n{said}\n"));
        let (made, _) = filtered(begin("x"), false).unwrap();
        assert_eq!((made.hold, &made.response.body[..]), (None, &b""[..]));
        // Nothing to rewrite, nothing wrong.
        let begun = begin("");
        assert_eq!(filtered(begun.clone(), true).unwrap(), (begun, None));
    }
}
