//! Tests of the wrapping. The texts were seen on Pushpin 1.36.

use super::*;
use proptest::prelude::*;

fn wrapping(extended: bool) -> Wrapping {
    Wrapping { callback: (*b"cb").into(), extended }
}

fn fields<'f>(pairs: &[(&'f str, &'f str)]) -> Vec<Field<'f>> {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn head<'h>(code: u16, reason: &'h str, fields: &'h [Field<'h>]) -> Head<'h> {
    Head { code, reason: reason.as_bytes(), fields }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn relayed_extended() {
    let fields = fields(&[
        ("Content-Type", "text/plain"),
        ("X-Foo", "1"),
        ("x-foo", "2"),
        ("X-FOO", "3"),
        ("x-foo", "4"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("ETag", "\"x\""),
        ("Content-Length", "3"),
    ]);
    assert_eq!(
        text(wrapping(true).relayed(head(200, "OK", &fields), b"hi\r\n")),
        "/**/cb({\"code\": 200, \"reason\": \"OK\", \"headers\": {\"Content-Length\":\"3\",\
         \"Content-Type\":\"text/plain\",\"ETag\":\"\\\"x\\\"\",\"Set-Cookie\":\"a=b\",\
         \"X-FOO\":\"3\",\"X-Foo\":\"1\",\"x-foo\":\"2\"}, \"body\": \"hi\\r\\n\"});\n"
    );
    assert_eq!(
        text(wrapping(true).relayed(head(204, "No \"Content\"", &[]), b"")),
        "/**/cb({\"code\": 204, \"reason\": \"No \\\"Content\\\"\", \"headers\": {}, \
         \"body\": \"\"});\n"
    );
}

#[test]
fn held_extended() {
    let fields = fields(&[
        ("Content-Type", "text/plain"),
        ("X-H", "h"),
        ("x-h", "i"),
        ("x-p", "p"),
        ("X-P", "q"),
        ("Cache-Control", "no"),
    ]);
    assert_eq!(
        text(wrapping(true).held(head(404, "R\u{e9}\"", &fields), b"held\n")),
        "/**/cb({\"body\":\"held\\n\",\"code\":404,\"headers\":{\"Cache-Control\":\"no\",\
         \"Content-Type\":\"text/plain\",\"X-H\":\"h, i\",\"x-p\":\"p, q\"},\
         \"reason\":\"Ré\\\"\"});\n"
    );
}

#[test]
fn basic_leaves_out_one_newline() {
    for (body, wrapped) in [
        ("hi\n", "/**/cb(hi);\n"),
        ("hi\r\n", "/**/cb(hi);\n"),
        ("hi\r\n\n", "/**/cb(hi\r\n);\n"),
        ("{}\r\n\r\n", "/**/cb({}\r\n);\n"),
        ("hi\r", "/**/cb(hi\r);\n"),
        ("\r\r\n", "/**/cb(\r);\n"),
        ("\n", "/**/cb();\n"),
        ("", "/**/cb();\n"),
    ] {
        let wrapping = wrapping(false);
        assert_eq!(text(wrapping.relayed(head(200, "OK", &[]), body.as_bytes())), wrapped);
        assert_eq!(text(wrapping.held(head(404, "No", &[]), body.as_bytes())), wrapped);
    }
}

#[test]
fn the_callback_is_not_looked_at() {
    let wrapping = Wrapping { callback: (*b"a<b.c[0]\xff").into(), extended: false };
    assert_eq!(wrapping.relayed(head(200, "", &[]), b"1"), b"/**/a<b.c[0]\xff(1);\n");
}

proptest! {
    #[test]
    fn any_pieces_give_the_same(
        extended: bool,
        pieces in prop::collection::vec("[\r\na\u{e9}\"]{0,4}".prop_map(String::into_bytes), 0..8),
        cut in 0_usize..4,
    ) {
        let wrapping = wrapping(extended);
            let head = head(200, "OK", &[]);
        // Characters are cut too.
        let all = pieces.concat();
        let mut out = Vec::new();
        let mut body = wrapping.begin(head, &mut out);
        match cut {
            0 => pieces.iter().for_each(|piece| body.piece(piece, &mut out)),
            _ => all.chunks(cut).for_each(|piece| body.piece(piece, &mut out)),
        }
        body.end(&mut out);
        prop_assert_eq!(out, wrapping.relayed(head, &all));
    }

    #[test]
    fn both_objects_are_json(
        reason: Vec<u8>,
        body: Vec<u8>,
        names in prop::collection::vec(("[A-Ca-c-]{1,3}", any::<Vec<u8>>()), 0..6),
    ) {
        let fields: Vec<Field<'_>> = names.iter().map(|(n, v)| (n.as_bytes(), &v[..])).collect();
        let head = Head { code: 200, reason: &reason, fields: &fields };
        for wrapped in [wrapping(true).relayed(head, &body), wrapping(true).held(head, &body)] {
            let wrapped = String::from_utf8(wrapped).unwrap();
            let inside = wrapped.strip_prefix("/**/cb(").and_then(|t| t.strip_suffix(");\n"));
            let object: serde_json::Value = serde_json::from_str(inside.unwrap()).unwrap();
            prop_assert_eq!(&object["body"], &*String::from_utf8_lossy(&body));
            prop_assert_eq!(&object["reason"], &*String::from_utf8_lossy(&reason));
            prop_assert_eq!(&object["code"], 200);
            prop_assert_eq!(object["headers"].as_object().unwrap().is_empty(), names.is_empty());
        }
    }
}
