//! An item as the command writes it: as JSON for the control API, as a tnetstring for ZeroMQ.
//!
//! Pure; used by `command`. Which member carries bytes differs between the two (specification, GRIP
//! 4.2 and 12): JSON needs another member for what is not UTF-8, a tnetstring does not.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use crate::wire::tnet;

/// A member of an item. Maps are sorted, so that the same item is always the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text or bytes. As JSON, bytes that are not UTF-8 go to the member of the same name with
    /// `-bin`, in base64.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// Members by name.
    Map(Members),
}

/// Members by name.
pub type Members = BTreeMap<String, Value>;

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    /// A map of these members.
    #[must_use]
    pub fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The same value for JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
            Value::List(values) => values.iter().map(Value::to_json).collect(),
            Value::Map(members) => {
                let members = members.iter().map(|(name, value)| match value {
                    Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
                        (format!("{name}-bin"), STANDARD.encode(bytes).into())
                    }
                    value => (name.clone(), value.to_json()),
                });
                serde_json::Value::Object(members.collect())
            }
        }
    }

    /// Appends the value as a tnetstring (specification, GRIP, appendix B).
    pub fn write_tnet(&self, out: &mut BytesMut) {
        tnet::encode(&self.to_tnet(), out);
    }

    fn to_tnet(&self) -> tnet::Value {
        match self {
            Value::Null => tnet::Value::Null,
            Value::Bool(value) => tnet::Value::Bool(*value),
            Value::Int(value) => tnet::Value::Int(*value),
            Value::Float(value) => tnet::Value::Float(*value),
            Value::Bytes(bytes) => tnet::Value::Bytes(bytes.clone().into()),
            Value::List(values) => tnet::Value::List(values.iter().map(Value::to_tnet).collect()),
            Value::Map(members) => {
                let members = members.iter();
                let pairs = members.map(|(name, value)| (name.clone().into(), value.to_tnet()));
                tnet::Value::Dict(pairs.collect())
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Value::Int(value),
                None => Value::Float(number.as_f64().unwrap_or_default()),
            },
            serde_json::Value::String(text) => Value::Bytes(text.into_bytes()),
            serde_json::Value::Array(values) => {
                Value::List(values.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(members) => Value::Map(
                members.into_iter().map(|(name, value)| (name, Value::from(value))).collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tnet(value: &Value) -> String {
        let mut out = BytesMut::new();
        value.write_tnet(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn from(json: &str) -> Value {
        serde_json::from_str::<serde_json::Value>(json).unwrap().into()
    }

    #[test]
    fn as_a_tnetstring() {
        let value = from(r#"[1,{"b":null,"a":1.5,"c":[true,-3]}]"#);
        assert_eq!(tnet(&value), "45:1:1#37:1:a,3:1.5^1:b,0:~1:c,12:4:true!2:-3#]}]");
        assert_eq!(tnet(&from(r#"["",{},[],false]"#)), "17:0:,0:}0:]5:false!]");
    }

    #[test]
    fn as_json_again() {
        let json = r#"[1,{"a":1.5,"b":null,"c":[true,-3,"x"]}]"#;
        assert_eq!(from(json).to_json().to_string(), json);
    }

    #[test]
    fn bytes_that_are_not_text_get_another_member() {
        let value =
            Value::map([("body", Value::Bytes(vec![0xff, 0, b'a'])), ("id", Value::text("1"))]);
        assert_eq!(value.to_json().to_string(), r#"{"body-bin":"/wBh","id":"1"}"#);
        let mut out = BytesMut::new();
        value.write_tnet(&mut out);
        assert_eq!(&out[..], b"22:4:body,3:\xff\0a,2:id,1:1,}");
    }

    #[test]
    fn numbers_beyond_64_bits_are_floats() {
        assert_eq!(from("18446744073709551615"), Value::Float(18_446_744_073_709_551_615.0));
    }
}
