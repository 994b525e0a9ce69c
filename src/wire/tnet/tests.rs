//! TNetStrings: the specification's vectors, every malformed case, round trips.

use bytes::{Bytes, BytesMut};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use super::{DEPTH_MAX, TnetError, Value, decode, encode};

fn read(text: &str) -> Result<Value, TnetError> {
    decode(&Bytes::copy_from_slice(text.as_bytes())).map(|(value, _)| value)
}

fn written(value: &Value) -> Bytes {
    let mut out = BytesMut::new();
    encode(value, &mut out);
    out.freeze()
}

fn key(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn the_vector_of_the_specification() {
    let value = Value::Dict(vec![(key("id"), Value::text("a")), (key("code"), Value::Int(200))]);
    assert_eq!(written(&value), "22:2:id,1:a,4:code,3:200#}");
    assert_eq!(read("22:2:id,1:a,4:code,3:200#}"), Ok(value));
}

#[test]
fn every_type() {
    for (text, value) in [
        ("0:~", Value::Null),
        ("4:true!", Value::Bool(true)),
        ("5:false!", Value::Bool(false)),
        ("2:-5#", Value::Int(-5)),
        ("3:1.5^", Value::Float(1.5)),
        ("0:,", Value::text("")),
        ("3:a:b,", Value::text("a:b")),
        ("0:]", Value::List(vec![])),
        ("6:0:~0:~]", Value::List(vec![Value::Null, Value::Null])),
        ("0:}", Value::Dict(vec![])),
    ] {
        assert_eq!(read(text).as_ref(), Ok(&value), "{text}");
        assert_eq!(written(&value), text);
    }
}

#[test]
fn what_follows_is_ignored_and_counted_out() {
    let input = Bytes::from_static(b"1:a,rest");
    assert_eq!(decode(&input), Ok((Value::text("a"), 4)));
}

#[test]
fn the_last_of_equal_keys_counts() {
    let value = read("16:1:a,1:1#1:a,1:2#}").unwrap();
    assert_eq!(value.member(b"a"), Some(&Value::Int(2)));
    assert_eq!(value.member(b"b"), None);
    assert_eq!(Value::Null.member(b"b"), None);
}

#[test]
fn malformed() {
    for (text, error) in [
        ("", TnetError::BadLength(0)),
        (":,", TnetError::BadLength(0)),
        ("x", TnetError::BadLength(0)),
        ("3", TnetError::BadLength(0)),
        ("-1:,", TnetError::BadLength(0)),
        ("99999999999999999999999:a,", TnetError::BadLength(0)),
        ("18446744073709551615:a,", TnetError::BadLength(0)),
        ("9223372036854775807:a,", TnetError::PastEnd(0)),
        ("1:a", TnetError::PastEnd(0)),
        ("2:a,", TnetError::PastEnd(0)),
        ("1:a?", TnetError::UnknownType(0)),
        ("1:a#", TnetError::BadPayload(0)),
        ("0:#", TnetError::BadPayload(0)),
        ("20:92233720368547758080#", TnetError::BadPayload(0)),
        ("3:inf^", TnetError::BadPayload(0)),
        ("1:x^", TnetError::BadPayload(0)),
        ("1:t!", TnetError::BadPayload(0)),
        ("1:a~", TnetError::BadPayload(0)),
        ("4:1:a#]", TnetError::BadPayload(2)),
        ("4:9:a,]", TnetError::PastEnd(2)),
        ("1:x]", TnetError::BadLength(2)),
        ("4:1:1#}", TnetError::BadKey(2)),
        ("4:1:a,}", TnetError::BadKey(2)),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| {
        let mut value = Value::List(vec![]);
        for _ in 1..levels {
            value = Value::List(vec![value]);
        }
        written(&value)
    };
    assert!(decode(&nested(DEPTH_MAX)).is_ok());
    assert!(matches!(decode(&nested(DEPTH_MAX + 1)), Err(TnetError::TooDeep(_))));
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12).prop_map(Bytes::from);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        bytes().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((bytes(), inner), 0..6).prop_map(Value::Dict),
        ]
    })
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read(value in value()) {
        let bytes = written(&value);
        let length = bytes.len();
        proptest::prop_assert_eq!(decode(&bytes), Ok((value, length)));
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = decode(&Bytes::from(bytes));
    }

    #[test]
    fn nothing_panics_on_damaged_values(value in value(), at: usize, byte: u8) {
        let mut bytes = written(&value).to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&Bytes::from(bytes));
    }
}
