//! The properties of a route that serves pages of other origins by JSON-P (specification, routing
//! 2.4 and 5.2). Called by `condition`; the type is used by `proxy`.

use std::borrow::Cow;

use super::problem::Fault;
use super::token::Prop;

/// How a route speaks JSON-P, where it does (`aco`, or for all routes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonP {
    /// `jsonp_mode`: the answer's status, headers and body in an object (`extended`), or its body
    /// alone (`basic`).
    pub extended: bool,
    /// The query parameter that names the callback (`jsonp_cb`).
    pub callback: Cow<'static, str>,
    /// The query parameter with the request's body (`jsonp_body`).
    pub body: Option<Cow<'static, str>>,
    /// The callback where a query has none but has a body (`jsonp_defcb`).
    pub default_callback: Option<Cow<'static, str>>,
    /// The method where a query names none (`jsonp_defmethod`); `None` is GET for extended mode,
    /// POST for basic mode.
    pub default_method: Option<Cow<'static, str>>,
}

impl JsonP {
    /// What a route has that says nothing of it.
    pub const DEFAULT: JsonP = JsonP {
        extended: true,
        callback: Cow::Borrowed("callback"),
        body: None,
        default_callback: None,
        default_method: None,
    };

    /// The method of a request whose query names none.
    #[must_use]
    pub fn method(&self) -> &str {
        let usual = if self.extended { "GET" } else { "POST" };
        self.default_method.as_deref().unwrap_or(usual)
    }

    /// Reads a property whose name begins with `jsonp_`; `false` if it is not known.
    pub(super) fn read(&mut self, prop: &Prop, faults: &mut Vec<Fault>) -> bool {
        let text =
            || Some(Cow::Owned(prop.text.clone())).filter(|text: &Cow<'_, str>| !text.is_empty());
        match prop.name.as_str() {
            "jsonp_mode" => match prop.text.as_str() {
                "extended" => self.extended = true,
                "basic" => self.extended = false,
                _ => {
                    let reason = "jsonp_mode must be set to 'basic' or 'extended'";
                    faults.push(Fault::error(prop.text_span, reason, "`basic` or `extended`"));
                }
            },
            "jsonp_cb" => self.callback = text().unwrap_or(JsonP::DEFAULT.callback),
            "jsonp_body" => self.body = text(),
            "jsonp_defcb" => self.default_callback = text(),
            "jsonp_defmethod" => self.default_method = text(),
            _ => return false,
        }
        true
    }
}

impl Default for JsonP {
    fn default() -> JsonP {
        JsonP::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::sections;
    use super::*;

    fn read(line: &str) -> (JsonP, Vec<String>) {
        let mut faults = Vec::new();
        let mut jsonp = JsonP::default();
        let sections = sections(line).unwrap();
        assert!(sections[0].props.iter().all(|prop| jsonp.read(prop, &mut faults)));
        (jsonp, faults.into_iter().map(|fault| fault.reason).collect())
    }

    #[test]
    fn all_of_it() {
        let line = "a,jsonp_mode=basic,jsonp_cb=cb,jsonp_body=b,jsonp_defcb=d,jsonp_defmethod=PUT";
        let (jsonp, reasons) = read(line);
        let expected = JsonP {
            extended: false,
            callback: "cb".into(),
            body: Some("b".into()),
            default_callback: Some("d".into()),
            default_method: Some("PUT".into()),
        };
        assert_eq!((jsonp, reasons.len()), (expected, 0));
    }

    #[test]
    fn defaults_depend_on_the_mode() {
        assert_eq!(read("a").0.method(), "GET");
        assert_eq!(read("a,jsonp_mode=basic").0.method(), "POST");
        assert_eq!(read("a,jsonp_mode=basic,jsonp_defmethod=PUT").0.method(), "PUT");
        assert_eq!(read("a,jsonp_cb=").0.callback, "callback");
    }

    #[test]
    fn modes_are_two() {
        assert_eq!(read("a,jsonp_mode=x").1, ["jsonp_mode must be set to 'basic' or 'extended'"]);
    }
}
