//! Cooperative matrices where no driver has them, for tests: the text of a kernel with plain WGSL in their place.
//!
//! A subgroup is 32 invocations that follow each other. Of a matrix of results an invocation holds a few elements of one row. A
//! factor is where it lies in workgroup memory: it is read when it is multiplied, so a text multiplies before it waits. What is
//! read outside an array is NaN, and what is stored there is lost.

use std::fmt::Write;

/// `text` without cooperative matrices.
pub(super) fn emulated(text: &str) -> String {
    let side = if text.contains("coop_mat8x8<") { 8 } else { 16 };
    let matrix = format!("coop_mat{side}x{side}");
    let mut out = text.replace("enable wgpu_cooperative_matrix;\n", "");
    if !out.contains(&matrix) {
        return out;
    }
    for (factor, role) in [("Left", "A"), ("Right", "B")] {
        out =
            out.replace(&format!("alias {factor} = {matrix}<f16, {role}>;\n"), "").replace(&format!("<{factor}>"), "");
    }
    out = out.replace(&format!("{matrix}<f32, C>"), "Matrix");
    let mut arrays = Vec::new();
    for call in ["coopLoadT(", "coopLoad(", "coopStoreT(", "coopStore("] {
        out = places(&out, call, &mut arrays);
    }
    let entry = out.find("@compute").and_then(|at| out[at..].find(") {").map(|brace| at + brace + 3));
    if let Some(body) = entry {
        let begin = "\n    matrix_lane = (lane + 8u) % 32u;\n    if (lane == 0u) { matrix_side = MATRIX_SIDE; }\n    workgroupBarrier();";
        out.insert_str(body, begin);
    }
    // Small matrices are many: without a loop.
    let (own, step) = if side == 8 { (2, 8) } else { (8, 1) };
    let turns = if side == step { "{ let k = 0u;" } else { "for (var k = 0u; k < matrix_side; k++) {" };
    let lefts = (0..step).map(|k| {
        format!("        let left_{k} = matrix_read(a.array, a.at + first.x * a.row + (k + {k}u) * a.column);\n")
    });
    let sums = (0..step * own).map(|i| {
        let (k, i) = (i / own, i % own);
        let place = format!("b.at + (k + {k}u) * b.row + (first.y + {i}u) * b.column");
        format!("        sum.e[{i}] += left_{k} * matrix_read(b.array, {place});\n")
    });
    out + &LIBRARY
        .replace("SUMS", &lefts.chain(sums).collect::<String>())
        .replace("OWN", &own.to_string())
        .replace("TURNS", turns)
        .replace("SIDE_OF", &side.to_string())
        + &accesses(text, &arrays)
}

/// With `index, number` of an array for `&array[index]` in these calls.
fn places(text: &str, call: &str, arrays: &mut Vec<String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(call) {
        let (head, tail) = after.split_once('&').unwrap_or((after, ""));
        let (array, tail) = tail.split_once('[').unwrap_or((tail, ""));
        // The index ends at the bracket of its own.
        let mut depth = 1;
        let end = tail.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let (index, tail) = tail.split_at(end.unwrap_or(0));
        let number = arrays.iter().position(|known| known == array).unwrap_or(arrays.len());
        if number == arrays.len() {
            arrays.push(array.into());
        }
        let _ = write!(out, "{before}{}{head}{number}u, {index}", call.replace("coop", "matrix"));
        rest = tail.strip_prefix(']').unwrap_or(tail);
    }
    out + rest
}

/// How elements of the arrays are read and written. Places count in scalars.
fn accesses(text: &str, arrays: &[String]) -> String {
    let (mut read, mut write, mut lanes) = (String::new(), String::new(), String::new());
    for (number, array) in arrays.iter().enumerate() {
        let after = text.split_once(&format!("var<workgroup> {array}: array<")).map_or("", |(_, after)| after);
        let (inside, _) = after.split_once(">;").unwrap_or_default();
        let (element, length) = inside.rsplit_once(", ").unwrap_or_default();
        let vector = element.starts_with("vec4<");
        let scalar = element.trim_start_matches("vec4<").trim_end_matches('>');
        let each = if vector { 4 } else { 1 };
        let place = if vector { format!("{array}[i / 4u][i % 4u]") } else { format!("{array}[i]") };
        let inside = format!("case {number}u: {{ if (i < ({length}) * {each}u)");
        let _ = writeln!(read, "        {inside} {{ return f32({place}); }} }}");
        let _ = writeln!(write, "        {inside} {{ {place} = {scalar}(value); }} }}");
        let _ = writeln!(lanes, "        case {number}u: {{ return {each}u; }}");
    }
    format!(
        "
fn matrix_read(array: u32, i: u32) -> f32 {{
    switch (array) {{
{read}        default: {{}}
    }}
    return bitcast<f32>(matrix_lane | 0x7fc00000u);
}}
fn matrix_write(array: u32, i: u32, value: f32) {{
    switch (array) {{
{write}        default: {{}}
    }}
}}
fn matrix_lanes(array: u32) -> u32 {{
    switch (array) {{
{lanes}        default: {{ return 0u; }}
    }}
}}
"
    )
}

/// Without a loop in the innermost one: lavapipe ends all loops of an invocation after 65535 turns in all.
const LIBRARY: &str = "
const MATRIX_SIDE = SIDE_OFu;
const MATRIX_OWN = OWNu;
var<private> matrix_lane: u32;
var<workgroup> matrix_side: u32; // compilers do not unroll what they do not know, which takes them minutes
struct Matrix { e: array<f32, MATRIX_OWN> }
struct Factor { array: u32, at: u32, row: u32, column: u32 }
fn matrixLoadT(array: u32, at: u32, stride: u32) -> Factor {
    let lanes = matrix_lanes(array);
    return Factor(array, at * lanes, stride * lanes, 1u);
}
fn matrixLoad(array: u32, at: u32, stride: u32) -> Factor {
    let lanes = matrix_lanes(array);
    return Factor(array, at * lanes, 1u, stride * lanes);
}
fn matrix_first() -> vec2<u32> {
    return vec2<u32>(matrix_lane * MATRIX_OWN / MATRIX_SIDE, matrix_lane * MATRIX_OWN % MATRIX_SIDE);
}
fn coopMultiplyAdd(a: Factor, b: Factor, c: Matrix) -> Matrix {
    var sum = c;
    let first = matrix_first();
    TURNS
SUMS    }
    return sum;
}
fn matrix_store(m: Matrix, array: u32, at: u32, row: u32, column: u32) {
    var values = m;
    let first = matrix_first();
    for (var i = 0u; i < matrix_side * matrix_side / 32u; i++) {
        matrix_write(array, at + first.x * row + (first.y + i) * column, values.e[i]);
    }
}
fn matrixStoreT(m: Matrix, array: u32, at: u32, stride: u32) {
    let lanes = matrix_lanes(array);
    matrix_store(m, array, at * lanes, stride * lanes, 1u);
}
fn matrixStore(m: Matrix, array: u32, at: u32, stride: u32) {
    let lanes = matrix_lanes(array);
    matrix_store(m, array, at * lanes, 1u, stride * lanes);
}
";
