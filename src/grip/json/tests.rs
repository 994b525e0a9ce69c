//! JSON: what is accepted, what is refused, and how values are read.

use super::{NotJson, Object, TREE_DEPTH_MAX, Value, read};

fn tree(text: &[u8]) -> Result<serde_json::Value, NotJson> {
    read(text, |value| value.tree().unwrap())
}

fn with_object<R>(text: &str, then: impl FnOnce(Object<'_>) -> R) -> R {
    read(text.as_bytes(), |value| match value {
        Value::Object(object) => then(object),
        other => panic!("{other:?}"),
    })
    .unwrap()
}

#[test]
fn what_is_accepted() {
    let json = |text: &str| tree(text.as_bytes()).unwrap();
    assert_eq!(json("\u{feff}{}"), serde_json::json!({}));
    assert_eq!(
        json(r#" {"a":[1,-2.5,true,null,"x\n\u00e9\ud83d\ude00"],"b":{}} "#),
        serde_json::json!({"a": [1, -2.5, true, null, "x\né😀"], "b": {}})
    );
    assert_eq!(json(r#"{"a":"x\ud800","b":"\udc00\ud800y"}"#)["a"], "x?");
    assert_eq!(json(r#"{"a":"x\ud800","b":"\udc00\ud800y"}"#)["b"], "??y");
    assert_eq!(json(r#"["\ud800\ud83d\ude00\u0041"]"#)[0], "?😀A");
    assert_eq!(json("[\"a\nb\u{1}\"]")[0], "a\nb\u{1}");
    assert_eq!(json(r#"["\q\/"]"#)[0], "q/");
    assert_eq!(json("[12345678901234567890123]")[0], 12345678901234567890123.0);
    assert_eq!(json("[18446744073709551615]")[0], 18446744073709551615.0);
    assert_eq!(json("[9223372036854775807]")[0], i64::MAX);
    assert_eq!(json("5"), 5);
}

#[test]
fn what_is_refused() {
    for text in [
        "",
        " ",
        "x",
        "{}x",
        "{} {}",
        "[1,]",
        r#"{"a":1,}"#,
        "{a:1}",
        "{'a':1}",
        "[",
        "]",
        "{",
        "\"",
        "\"a",
        "[\"a\\",
        "[\"\\u00zz\"]",
        "[\"\\u12\"]",
        "[NaN]",
        "[-]",
        "[01]",
        "[1e400]",
        "nul",
        "[\"\\ud800\",]",
    ] {
        assert_eq!(tree(text.as_bytes()), Err(NotJson), "{text}");
    }
    assert_eq!(tree(b"[\"\xff\"]"), Err(NotJson));
    assert_eq!(tree("[".repeat(100_000).as_bytes()), Err(NotJson));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(tree(deep.as_bytes()), Err(NotJson));
}

#[test]
fn the_last_of_equal_members_counts() {
    with_object(r#"{"b":1,"a":1,"b":"2","B":3}"#, |object| {
        assert!(matches!(object.member("b"), Some(Value::Text("2"))));
        assert!(object.member("c").is_none());
        let names: Vec<_> =
            object.sorted().into_iter().map(|(n, v)| (n, v.number_like())).collect();
        assert_eq!(names, [("B", Some(3)), ("a", Some(1)), ("b", Some(2))]);
    });
    with_object("{}", |object| assert!(object.is_empty()));
}

#[test]
fn members_that_are_not_at_the_front_are_found() {
    with_object(r#"{"x":{"y":[1,{"a":2}]},"z":[[],{}],"a":3}"#, |object| {
        assert_eq!(object.member("a").unwrap().number_like(), Some(3));
        let Some(Value::Array(array)) = object.member("z") else { panic!() };
        assert_eq!(array.count(), 2);
    });
}

#[test]
fn number_like() {
    for (text, number) in [
        ("200.5", Some(201)),
        ("-0.4", Some(0)),
        ("-0.5", Some(-1)),
        ("1.6", Some(2)),
        ("true", Some(1)),
        ("false", Some(0)),
        (r#"" 404 ""#, Some(404)),
        (r#""+7""#, Some(7)),
        (r#""abc""#, Some(0)),
        (r#""404.6""#, Some(0)),
        (r#""""#, Some(0)),
        ("1e30", Some(i64::MAX)),
        ("null", None),
        ("[]", None),
        ("{}", None),
    ] {
        with_object(&format!(r#"{{"n":{text}}}"#), |object| {
            assert_eq!(object.member("n").unwrap().number_like(), number, "{text}");
        });
    }
}

#[test]
fn typed_members() {
    with_object(r#"{"t":"x","n":null,"neg":-1,"big":1e12,"code":1000,"m":{"b":"1","a":2}}"#, |o| {
        assert_eq!(o.text("o", "t"), Ok(Some("x")));
        assert_eq!(o.text("o", "absent"), Ok(None));
        assert_eq!(o.text("o", "n").unwrap_err().message, "o contains 'n' with wrong type");
        assert_eq!(o.number("o", "n").unwrap_err().message, "o contains 'n' with wrong type");
        assert_eq!(
            o.unsigned("o", "neg").unwrap_err().message,
            "o contains 'neg' with invalid value"
        );
        assert_eq!(o.unsigned("o", "big"), Ok(Some(u32::MAX)));
        assert_eq!(
            o.named("code").status("o").unwrap_err().message,
            "o contains 'code' with invalid value"
        );
        assert_eq!(
            o.named("m").text_map("o").unwrap_err().message,
            "'m' contains 'a' with wrong type"
        );
        assert_eq!(
            o.named("t").text_map("o").unwrap_err().message,
            "o contains 't' with wrong type"
        );
        assert_eq!(o.named("absent").text_map("o"), Ok(vec![]));
    });
}

#[test]
fn a_tree_is_bounded_in_depth() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let tree = |levels| read(nested(levels).as_bytes(), |value| value.tree()).unwrap();
    assert!(tree(TREE_DEPTH_MAX).is_some());
    assert!(tree(TREE_DEPTH_MAX + 1).is_none());
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = tree(&bytes);
    }

    #[test]
    fn nothing_panics_on_almost_json(text in r#"[\[\]{}",:\\u0-9a-fd8\x01tn. -]{0,40}"#) {
        let _ = tree(text.as_bytes());
    }

    #[test]
    fn what_serde_json_accepts_is_read_the_same(text in r#"[\[{]["a-c,:0-9\[\]{} ]{0,20}[\]}]"#) {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            proptest::prop_assert_eq!(tree(text.as_bytes()), Ok(value));
        }
    }

    #[test]
    fn strings_are_read_as_serde_json_writes_them(text: String) {
        let json = serde_json::json!({ "t": text });
        proptest::prop_assert_eq!(tree(json.to_string().as_bytes()), Ok(json));
    }
}
