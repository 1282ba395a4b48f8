#!/usr/bin/env bash
# Library: Rust crate serde_json 1.0.154.
# Expected: "-0" is an integer in the grammar of JSON (RFC 8259, section 6), so it can be read as i64 and
# gives 0, as "0" does.
# Does: "-0" becomes the floating-point number -0.0. Reading it as an integer type is an error, and a Value
# that holds it is no integer.
# Output seen:
#   0 as i64: 0
#   -1 as i64: -1
#   -0 as i64: invalid type: floating point `-0.0`, expected i64 at line 1 column 2
#   -0 as Value: is_i64 false, is_f64 true, written as -0.0
# Why it matters: a number that another program wrote as -0 makes a whole report or log line unreadable for a
# typed reader, and a Value that is read and written again changes from -0 to -0.0. A digest over the text
# changes with it.

. "$(dirname "$0")/lib/common.bash"
rust 'serde_json = "=1.0.154"' >output <<'EOF'
use serde_json::{from_str, Value};

fn main() {
    for text in ["0", "-1", "-0"] {
        let result = from_str::<i64>(text).map_or_else(|error| error.to_string(), |number| number.to_string());
        println!("{text} as i64: {result}");
    }
    let value: Value = from_str("-0").unwrap();
    println!("-0 as Value: is_i64 {}, is_f64 {}, written as {value}", value.is_i64(), value.is_f64());
}
EOF
check <output
