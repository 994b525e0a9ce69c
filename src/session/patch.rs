//! `body-patch`: a held JSON body, patched (specification, GRIP 2.3).
//!
//! Near RFC 6902 and deliberately not the same: existing publishers rely on `add` replacing array
//! elements, on the loose `test`, on `/` as the root, and on how numbers are written. Pure; called
//! by `answer`.

use serde_json::Value;

use super::compact;

/// Levels of nesting, and values copied within a document, past which a patch fails: a handful of
/// operations could otherwise double a document until memory ends.
const DEPTH_MAX: usize = 256;
const COPIED_VALUES_MAX: usize = 100_000;

/// Why a body cannot be patched. The client then gets an empty body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The held body is not a JSON object or array.
    #[error("the held body is not a JSON object or array")]
    Held,
    /// An operation could not be carried out.
    #[error("operation {0}: {1}")]
    Operation(usize, &'static str),
    /// What came of it is not an object or array.
    #[error("the result is not a JSON object or array")]
    Result,
}

/// Applies `operations` to `held`; all of them or none.
pub fn apply(held: &[u8], operations: &[Value]) -> Result<Vec<u8>, PatchError> {
    let text = held.strip_prefix(b"\xef\xbb\xbf").unwrap_or(held);
    let mut root: Value = serde_json::from_slice(text).map_err(|_| PatchError::Held)?;
    if !is_container(&root) {
        return Err(PatchError::Held);
    }
    let mut copied = 0;
    for (number, operation) in operations.iter().enumerate() {
        apply_one(&mut root, operation, &mut copied)
            .map_err(|why| PatchError::Operation(number, why))?;
    }
    if !is_container(&root) {
        return Err(PatchError::Result);
    }
    let mut out = Vec::with_capacity(held.len());
    compact::write(&root, &mut out);
    if held.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    } else if held.ends_with(b"\n") {
        out.push(b'\n');
    }
    Ok(out)
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn apply_one(root: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), &'static str> {
    let members = operation.as_object().ok_or("is not an object")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let op = text("op").ok_or("has no 'op'")?;
    let path = pointer(text("path").ok_or("has no 'path'")?)?;
    let value = || members.get("value").ok_or("has no 'value'");
    let from = || pointer(text("from").ok_or("has no 'from'")?);
    match op {
        "add" => set(root, &path, value()?.clone()),
        "replace" => {
            find(root, &path).ok_or("replaces what is not there")?;
            set(root, &path, value()?.clone())
        }
        "remove" => take(root, &path).map(drop),
        "move" => {
            let from = from()?;
            let moved = if from.is_empty() { copy(root, copied)? } else { take(root, &from)? };
            set(root, &path, moved)
        }
        "copy" => {
            let from = from()?;
            let source = find(root, &from).ok_or("copies what is not there")?;
            let value = copy(source, copied)?;
            set(root, &path, value)
        }
        "test" => {
            let found = find(root, &path).ok_or("tests what is not there")?;
            if matches(found, value()?) { Ok(()) } else { Err("tests unequal") }
        }
        _ => Err("has an unknown 'op'"),
    }
}

/// The segments of a pointer; none is the root.
fn pointer(text: &str) -> Result<Vec<String>, &'static str> {
    let rest = text.strip_prefix('/').ok_or("has a pointer that does not start with '/'")?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/')
        .map(|segment| match segment {
            "" => Err("has a pointer with an empty segment"),
            _ => Ok(segment.replace("~1", "/").replace("~0", "~")),
        })
        .collect()
}

fn position(segment: &str, len: usize) -> Option<usize> {
    let n: i32 = segment.trim().parse().ok()?;
    usize::try_from(n).ok().filter(|&n| n < len)
}

fn child<'a>(value: &'a mut Value, segment: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(segment),
        Value::Array(elements) => {
            let at = position(segment, elements.len())?;
            elements.get_mut(at)
        }
        _ => None,
    }
}

fn find<'a>(root: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, segment| child(value, segment))
}

fn set(root: &mut Value, path: &[String], value: Value) -> Result<(), &'static str> {
    if path.len() + measure(&value).0 > DEPTH_MAX {
        return Err("nests too deeply");
    }
    let Some((last, parents)) = path.split_last() else {
        *root = value;
        return Ok(());
    };
    match find(root, parents) {
        Some(Value::Object(members)) => {
            members.insert(last.clone(), value);
            Ok(())
        }
        Some(Value::Array(elements)) if last == "-" => {
            elements.push(value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let at = position(last, elements.len()).ok_or("names no element of the array")?;
            elements[at] = value;
            Ok(())
        }
        Some(_) => Err("sets a member of a scalar"),
        None => Err("sets a member of what is not there"),
    }
}

fn take(root: &mut Value, path: &[String]) -> Result<Value, &'static str> {
    let (last, parents) = path.split_last().ok_or("removes the root")?;
    match find(root, parents) {
        Some(Value::Object(members)) => members.remove(last).ok_or("removes what is not there"),
        Some(Value::Array(elements)) => {
            let at = position(last, elements.len()).ok_or("names no element of the array")?;
            Ok(elements.remove(at))
        }
        _ => Err("removes what is not there"),
    }
}

fn copy(value: &Value, copied: &mut usize) -> Result<Value, &'static str> {
    *copied += measure(value).1;
    if *copied > COPIED_VALUES_MAX { Err("copies too much") } else { Ok(value.clone()) }
}

/// How deep a value is, and of how many values it consists; without recursion.
fn measure(value: &Value) -> (usize, usize) {
    let (mut deepest, mut count) = (0, 0);
    let mut waiting = vec![(value, 1)];
    while let Some((value, depth)) = waiting.pop() {
        deepest = deepest.max(depth);
        count += 1;
        match value {
            Value::Object(members) => waiting.extend(members.values().map(|v| (v, depth + 1))),
            Value::Array(elements) => waiting.extend(elements.iter().map(|v| (v, depth + 1))),
            _ => {}
        }
    }
    (deepest, count)
}

/// The loose equality of `test`: numbers, and scalars of different types, as 32-bit integers.
fn matches(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| matches(a, b)))
        }
        _ => match (integer(a), integer(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
    }
}

#[allow(clippy::cast_possible_truncation)] // the comparison is of the low 32 bits
fn integer(value: &Value) -> Option<i32> {
    match value {
        Value::Bool(b) => Some(i32::from(*b)),
        Value::String(text) => Some(text.trim().parse::<i64>().map_or(0, |n| n as i32)),
        Value::Number(n) => {
            let rounded = (n.as_f64()? + 0.5).floor();
            let fits = rounded.abs() < 9_223_372_036_854_775_808.0;
            Some(if fits { rounded as i64 as i32 } else { 0 })
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(held: &str, operations: Value) -> Option<String> {
        let operations = operations.as_array().unwrap();
        apply(held.as_bytes(), operations).ok().map(|out| String::from_utf8(out).unwrap())
    }

    fn check(held: &str, operations: Value, expected: &str) {
        assert_eq!(patched(held, operations).as_deref(), Some(expected), "{held}");
    }

    #[test]
    fn an_empty_patch_writes_the_body_anew() {
        check("{\"b\":1,\"a\":[ ]}\r\n", json!([]), "{\"a\":[],\"b\":1}\r\n");
        check("{\"a\":1}\n\n", json!([]), "{\"a\":1}\n");
        check("{\"a\":1}\r", json!([]), "{\"a\":1}");
        check("\u{feff}{\"a\":1,\"a\":2}", json!([]), "{\"a\":2}");
        check(r#"["\u0001\u007f\u00e9\/\b\u2028"]"#, json!([]), "[\"\\u0001\x7fé/\\b\u{2028}\"]");
        check(
            r#"{"\ud83d\ude00":1,"\uffee":2,"B":1}"#,
            json!([]),
            "{\"B\":1,\"😀\":1,\"\u{ffee}\":2}",
        );
        for held in ["5", "\"x\"", "null", "", "{"] {
            assert_eq!(patched(held, json!([])), None);
        }
    }

    #[test]
    fn numbers_are_written_as_doubles() {
        for (number, written) in [
            ("12345678901234567890", "12345678901234567000"),
            ("1e25", "1e+25"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
        ] {
            check(&format!("[{number}]"), json!([]), &format!("[{written}]"));
        }
    }

    #[test]
    fn one_failure_voids_all() {
        let operations = json!([{"op":"add","path":"/b","value":1}, {"op":"remove","path":"/c"}]);
        assert_eq!(patched("{\"a\":1}", operations), None);
        let tested = json!([{"op":"test","path":"/a","value":1}, {"op":"remove","path":"/a"}]);
        check("{\"a\":1}", tested, "{}");
    }

    #[test]
    fn add_replaces_elements_and_appends() {
        check("[1]", json!([{"op":"add","path":"/0","value":7}]), "[7]");
        check("[1]", json!([{"op":"add","path":"/00","value":7}]), "[7]");
        check("[1]", json!([{"op":"add","path":"/-","value":7}]), "[1,7]");
        assert_eq!(patched("[1]", json!([{"op":"add","path":"/1","value":7}])), None);
        check("{}", json!([{"op":"add","path":"/x~01y~1","value":null}]), "{\"x~1y/\":null}");
        check("{\"a\":1}", json!([{"op":"add","path":"/","value":[1]}]), "[1]");
        assert_eq!(patched("{\"a\":1}", json!([{"op":"add","path":"/","value":1}])), None);
    }

    #[test]
    fn replace_and_remove_need_their_target() {
        check("{\"a\":1}", json!([{"op":"replace","path":"/","value":{"z":1}}]), "{\"z\":1}");
        for op in [
            json!({"op":"replace","path":"/b","value":1}),
            json!({"op":"replace","path":"/a/-","value":1}),
            json!({"op":"remove","path":"/b"}),
            json!({"op":"remove","path":"/a/-"}),
            json!({"op":"remove","path":"/"}),
            json!({"op":"remove","path":""}),
            json!({"op":"remove","path":"a"}),
            json!({"op":"remove","path":"/a/"}),
            json!({"op":"remove","path":"//a"}),
            json!({"op":"eat","path":"/a"}),
            json!({"op":"add","path":"/a"}),
            json!({"op":"add","path":5,"value":1}),
            json!({"path":"/a"}),
            json!("op"),
        ] {
            assert_eq!(patched("{\"a\":[1]}", json!([op])), None, "{op}");
        }
    }

    #[test]
    fn move_takes_first_and_copies_the_root() {
        check("[1,2,3]", json!([{"op":"move","from":"/0","path":"/0"}]), "[1,3]");
        check("[1,2,3]", json!([{"op":"move","from":"/0","path":"/-"}]), "[2,3,1]");
        check(
            "{\"a\":1}",
            json!([{"op":"move","from":"/","path":"/b"}]),
            "{\"a\":1,\"b\":{\"a\":1}}",
        );
        check("{\"a\":[1]}", json!([{"op":"move","from":"/a","path":"/"}]), "[1]");
        let into_itself = json!([{"op":"move","from":"/a","path":"/a/b"}]);
        assert_eq!(patched("{\"a\":{}}", into_itself), None);
        check("[[1]]", json!([{"op":"copy","from":"/0","path":"/-"}]), "[[1],[1]]");
        // A copy is one: what becomes of the source later is not seen in it.
        let deep = json!([{"op":"copy","from":"/a","path":"/b"},
            {"op":"add","path":"/a/-","value":2}]);
        check("{\"a\":[1]}", deep, "{\"a\":[1,2],\"b\":[1]}");
        for op in ["move", "copy"] {
            for from in [json!(null), json!("/none"), json!("/a/-"), json!("a"), json!("")] {
                let operation = json!([{"op":op,"from":from,"path":"/b"}]);
                assert_eq!(patched("{\"a\":[1]}", operation), None, "{op} {from}");
            }
            assert_eq!(patched("{\"a\":1}", json!([{"op":op,"path":"/b"}])), None, "{op}");
        }
    }

    #[test]
    fn tests_are_loose() {
        for (held, value, equal) in [
            (json!(1.4), json!(1.2), true),
            (json!(1.6), json!(2), true),
            (json!(-1.5), json!(-1), true),
            (json!("5"), json!(5), true),
            (json!(" 5 "), json!(5), true),
            (json!(true), json!(1), true),
            (json!(true), json!("1"), true),
            (json!("x"), json!(0), true),
            (json!("true"), json!(true), false),
            (json!(1e10), json!(1_410_065_408), true),
            (json!(1e300), json!(0), true),
            (json!(null), json!(null), false),
            (json!([null]), json!([null]), false),
            (json!([1.4, "1"]), json!([1.2, 1]), true),
            (json!({"b": 1}), json!({"b": 1.0}), true),
            (json!({}), json!(0), false),
            (json!("a"), json!("A"), false),
        ] {
            let test = json!([{"op":"test","path":"/0","value":value}]);
            assert_eq!(
                patched(&json!([held]).to_string(), test).is_some(),
                equal,
                "{held} {value}"
            );
        }
    }

    #[test]
    fn a_patch_cannot_grow_without_bound() {
        let wide: Vec<Value> =
            (0..40).map(|_| json!({"op":"copy","from":"/","path":"/-"})).collect();
        assert!(matches!(apply(b"[1]", &wide), Err(PatchError::Operation(..))));
        let deep: Vec<Value> =
            (0..2000).map(|_| json!({"op":"copy","from":"/","path":"/0"})).collect();
        assert!(matches!(apply(b"[1]", &deep), Err(PatchError::Operation(..))));
    }
}
