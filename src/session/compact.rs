//! How a patched body is written: compact, members sorted, numbers as IEEE doubles in the shortest
//! digits that read back the same (specification, GRIP 2.3). Called by `patch`.

use serde_json::Value;

/// Integers below this are written in full, larger ones as the shorter of the two notations.
const FULL_BELOW: f64 = 18_446_744_073_709_551_616.0;

/// Compact JSON, members in the order of their names' UTF-16 code units.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => write_number(n.as_f64().unwrap_or(0.0), out),
        Value::String(text) => write_string(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (number, (name, member)) in sorted.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Escapes what JSON requires and nothing else; a string cannot fail to be written to memory.
    let _ = serde_json::to_writer(out, text);
}

fn write_number(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    // `d.ddde±x`: the shortest digits, without their point, and the place of the point.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    if value < 0.0 {
        out.push(b'-');
    }
    let full = value.fract() == 0.0 && value.abs() < FULL_BELOW;
    if full || is_short(&digits, point) {
        decimal(&digits, point, out);
    } else {
        scientific(&digits, point, out);
    }
}

/// Whether the decimal notation is no longer than the scientific one.
fn is_short(digits: &[u8], point: i32) -> bool {
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if point <= 0 {
        return point > -4;
    }
    // The letter, the sign and the exponent's digits; one of which is for the decimal point.
    let exponent = if point > 100 { 6 } else { 5 };
    point <= length + exponent + i32::from(length > point)
}

fn decimal(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let Ok(whole) = usize::try_from(point) else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
        return;
    };
    if whole == 0 {
        out.extend_from_slice(b"0.");
        out.extend_from_slice(digits);
        return;
    }
    for place in 0..whole.max(digits.len()) {
        if place == whole {
            out.push(b'.');
        }
        out.push(digits.get(place).copied().unwrap_or(b'0'));
    }
}

fn scientific(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let exponent = point - 1;
    for (place, digit) in digits.iter().enumerate() {
        if place == 1 {
            out.push(b'.');
        }
        out.push(*digit);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    let mut number = itoa::Buffer::new();
    let text = number.format(exponent.unsigned_abs());
    if text.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        write_number(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_existing_publishers_see_them() {
        for (value, text) in [
            (1.0, "1"),
            (-0.0, "0"),
            (-1.5, "-1.5"),
            (1e6, "1000000"),
            (1e18, "1000000000000000000"),
            (1e19, "10000000000000000000"),
            (-1e19, "-10000000000000000000"),
            (1e20, "1e+20"),
            (1e25, "1e+25"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (4_611_686_018_427_387_904.0, "4611686018427388000"),
            (18_446_744_073_709_551_616.0, "18446744073709552000"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (0.1, "0.1"),
            (123_456_789.5, "123456789.5"),
            (1_234_567_890_123_456.7, "1234567890123456.8"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(written(value), text);
        }
    }

    proptest! {
        #[test]
        fn reads_back_the_same(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            prop_assert_eq!(written(value).parse::<f64>().unwrap(), value);
        }
    }
}
