//! A record as a row of ClickHouse's JSONEachRow.
//!
//! Keys bear `_` for `-`, so that they are names of columns without quotes. Times are `YYYY-MM-DD
//! hh:mm:ss.ffffff`, in UTC. A number or a time that is missing is `null`, which is the column's default
//! value; so is `edns`; missing `answers` are an empty list. A missing text is `-`, as everywhere.

/// Writes the row of a JSON record.
pub(crate) fn rewrite(record: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    // The kinds of what is open, the innermost in the lowest place: 1 = an object.
    let (mut open, mut depth) = (0_u64, 0_i32);
    let (mut is_key, mut key) = (false, &[][..]);
    while let Some(&byte) = record.get(at) {
        if byte == b'"' {
            let text = string(record.get(at..).unwrap_or_default());
            at += text.len();
            if is_key {
                is_key = false;
                out.extend(text.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }));
                if depth == 1 {
                    key = text;
                }
            } else if depth == 1 {
                write_value(key, text, out);
            } else {
                out.extend_from_slice(text);
            }
            continue;
        }
        match byte {
            b'{' | b'[' => {
                is_key = byte == b'{';
                open = open << 1 | u64::from(is_key);
                depth += 1;
            }
            b'}' | b']' => {
                open >>= 1;
                depth -= 1; // below zero for what is no record
            }
            b',' => is_key = open & 1 == 1,
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
}

/// The string at the front, quotes included.
fn string(text: &[u8]) -> &[u8] {
    let mut escaped = true; // the first quote opens
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return text.get(..=at).unwrap_or(text),
            _ => {}
        }
    }
    text
}

fn write_value(key: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let is_time = TIMES.contains(&key);
    if text == MISSING {
        out.extend_from_slice(match key {
            b"\"answers\"" => b"[]",
            b"\"edns\"" => b"null",
            _ if is_time || NUMBERS.contains(&key) => b"null",
            _ => MISSING,
        });
    } else if is_time && let Some((time, b"+00:00\"")) = text.split_at_checked(text.len().saturating_sub(7)) {
        out.extend(time.iter().map(|&byte| if byte == b'T' { b' ' } else { byte }));
        out.push(b'"');
    } else {
        out.extend_from_slice(text);
    }
}

const MISSING: &[u8] = b"\"-\"";

/// Keys whose values are numbers.
const NUMBERS: [&[u8]; 8] = [
    b"\"query-port\"",
    b"\"response-port\"",
    b"\"length\"",
    b"\"id\"",
    b"\"latency\"",
    b"\"answers-count\"",
    b"\"asn\"",
    b"\"policy\"",
];

/// Keys whose values are times.
const TIMES: [&[u8]; 2] = [b"\"timestamp\"", b"\"response-time\""];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, expected: &str) {
        let mut out = Vec::new();
        rewrite(record.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn rows_of_records() {
        check(
            "{\"identity\":\"a-b\\\\\\\"-\",\"query-ip\":\"-\",\"query-port\":\"-\",\"length\":59,\
             \"timestamp\":\"2020-09-16T18:51:53.591736+00:00\",\"latency\":\"-\",\"edns\":\"-\",\"answers\":\"-\"}\n",
            "{\"identity\":\"a-b\\\\\\\"-\",\"query_ip\":\"-\",\"query_port\":null,\"length\":59,\
             \"timestamp\":\"2020-09-16 18:51:53.591736\",\"latency\":null,\"edns\":null,\"answers\":[]}\n",
        );
        check(
            r#"{"timestamp":"-","answers":[{"name":"a-b","x-y":"T-"},{"ttl":1}],"edns":{"ede":[{"code":3,"te-xt":"-"}]},"response-ip":"-"}"#,
            r#"{"timestamp":null,"answers":[{"name":"a-b","x_y":"T-"},{"ttl":1}],"edns":{"ede":[{"code":3,"te_xt":"-"}]},"response_ip":"-"}"#,
        );
        check("{\"qname\":\"a,\\\"b-c\\\":.\"", "{\"qname\":\"a,\\\"b-c\\\":.\"");
        check("]]}}\"", "]]}}\"");
    }
}
