//! The functions through which a kernel reads and writes an operand, in its type.
//!
//! Every binding is `read_write`, also what is only read: an engine may keep several operands in one buffer, and a buffer must
//! not be bound both ways in one dispatch. Elements of one and two bytes share words. An output of them is an array of atomics:
//! where an invocation owns a part of a word, it changes that part alone, and whoever owns the rest never notices. `IN_WORDS` says
//! that fours and pairs of elements are whole and lie in whole words, [`super::launch::Launch::in_words`].

use super::launch::Kind;
use crate::dtype::DType;

/// Elements of a word.
fn each_word(dtype: DType) -> u32 {
    4 / (dtype.bytes() as u32).clamp(1, 4)
}

fn atomic(kind: Kind) -> bool {
    kind == Kind::Status || matches!(kind, Kind::Writes(dtype) if each_word(dtype) > 1)
}

/// The binding, and where its elements are.
pub(super) fn declared(name: &str, kind: Kind, index: usize) -> String {
    let element = match kind {
        Kind::Ints => "i32",
        Kind::Vectors(_) => "vec4<u32>",
        Kind::Halves => "vec4<f16>",
        _ if atomic(kind) => "atomic<u32>",
        _ => "u32",
    };
    let (base, stride) = if index.is_multiple_of(2) { ("x", "y") } else { ("z", "w") };
    let (vector, binding) = (index / 2, index + 1);
    format!(
        "@group(0) @binding({binding}) var<storage, read_write> {name}_words: array<{element}>;
fn {name}_at(row: u32, col: u32) -> u32 {{
    return p.views[{vector}].{base} + row * p.views[{vector}].{stride} + col;
}}
"
    )
}

/// Functions on operand `#`.
pub(super) fn functions(kind: Kind) -> String {
    match kind {
        Kind::Ints => INTS.into(),
        Kind::Bytes => BYTES.into(),
        Kind::Vectors(_) => VECTORS.into(),
        Kind::Halves => HALVES.into(),
        Kind::Status => STATUS.into(),
        Kind::Reads(dtype) | Kind::Writes(dtype) => {
            let load = if atomic(kind) { LOADS_ATOMICS } else { LOADS };
            let mut text = [load, reads(dtype)].concat();
            if matches!(kind, Kind::Writes(_)) {
                text += writes(dtype);
                text += WRITES;
            }
            let (decode, encode) = match dtype {
                DType::Bf16 => ("f32_of_bf16", "bf16_of_f32"),
                DType::F16 => ("f32_of_f16", "f16_of_f32"),
                DType::F8E4m3 => ("f32_of_f8e4m3", "f8e4m3_of_f32"),
                _ => ("bitcast<f32>", "bitcast<u32>"),
            };
            text.replace("DECODE", decode).replace("ENCODE", encode)
        }
    }
}

fn reads(dtype: DType) -> &'static str {
    match each_word(dtype) {
        4 => READS_QUARTERS,
        2 => READS_HALVES,
        _ => READS_WORDS,
    }
}

fn writes(dtype: DType) -> &'static str {
    match each_word(dtype) {
        4 => WRITES_QUARTERS,
        2 => WRITES_HALVES,
        _ => WRITES_WORDS,
    }
}

const STATUS: &str = "
fn report(fault: u32) { atomicOr(&#_words[#_at(0u, 0u)], fault); }
";

const INTS: &str = "
fn int_#(i: u32) -> i32 { return #_words[#_at(0u, i)]; }
fn int2_#(row: u32, col: u32) -> i32 { return #_words[#_at(row, col)]; }
fn put_int_#(i: u32, value: i32) { #_words[#_at(0u, i)] = value; }
";

const BYTES: &str = "
fn byte_#(i: u32) -> u32 { return (#_words[i >> 2u] >> ((i & 3u) * 8u)) & 255u; }
fn word_#(i: u32) -> u32 {
    if ((i & 3u) == 0u) { return #_words[i >> 2u]; }
    let shift = (i & 3u) * 8u;
    return (#_words[i >> 2u] >> shift) | (#_words[(i >> 2u) + 1u] << (32u - shift));
}
";

const VECTORS: &str = "
fn vec_#(i: u32) -> vec4<u32> { return #_words[i]; }
fn part_#(i: u32, word: u32) -> u32 { return #_words[i][word]; }
fn put_vec_#(i: u32, value: vec4<u32>) { #_words[i] = value; }
";

const HALVES: &str = "
fn vec_#(i: u32) -> vec4<f16> { return #_words[i]; }
";

const LOADS: &str = "
fn raw_#(word: u32) -> u32 { return #_words[word]; }
";

const LOADS_ATOMICS: &str = "
fn raw_#(word: u32) -> u32 { return atomicLoad(&#_words[word]); }
fn change_#(word: u32, shift: u32, bits: u32, all: u32) {
    atomicXor(&#_words[word], (((raw_#(word) >> shift) ^ bits) & all) << shift);
}
";

// `words4_#` only reads, for `decoded4_#` later: between them a kernel has time for something else, such as more reads.
const READS_WORDS: &str = "
fn bits_#(row: u32, col: u32) -> u32 { return raw_#(#_at(row, col)); }
fn words4_#(row: u32, col: u32) -> vec4<u32> {
    let i = #_at(row, col);
    return vec4<u32>(raw_#(i), raw_#(i + 1u), raw_#(i + 2u), raw_#(i + 3u));
}
fn decoded4_#(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(DECODE(words.x), DECODE(words.y), DECODE(words.z), DECODE(words.w));
}
fn load_#(row: u32, col: u32) -> f32 { return DECODE(bits_#(row, col)); }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> {
    let i = #_at(row, col);
    if (IN_WORDS || count >= 4u) {
        return vec4<f32>(DECODE(raw_#(i)), DECODE(raw_#(i + 1u)), DECODE(raw_#(i + 2u)), DECODE(raw_#(i + 3u)));
    }
    var out = vec4<f32>();
    for (var n = 0u; n < count; n++) { out[n] = load_#(row, col + n); }
    return out;
}
";

const READS_HALVES: &str = "
fn bits_#(row: u32, col: u32) -> u32 {
    let i = #_at(row, col);
    return (raw_#(i >> 1u) >> ((i & 1u) * 16u)) & 0xffffu;
}
fn words4_#(row: u32, col: u32) -> vec4<u32> {
    let i = #_at(row, col);
    let odd = i & 1u;
    var last = 0u;
    if (!IN_WORDS && odd == 1u) { last = raw_#((i + 3u) >> 1u); }
    return vec4<u32>(raw_#(i >> 1u), raw_#((i >> 1u) + 1u), last, odd);
}
fn decoded4_#(words: vec4<u32>) -> vec4<f32> {
    let between = (words.xy >> vec2<u32>(16u)) | (words.yz << vec2<u32>(16u));
    let pairs = select(words.xy, between, !IN_WORDS && words.w == 1u);
    let low = pairs & vec2<u32>(0xffffu);
    let high = pairs >> vec2<u32>(16u);
    return vec4<f32>(DECODE(low.x), DECODE(high.x), DECODE(low.y), DECODE(high.y));
}
fn load_#(row: u32, col: u32) -> f32 { return DECODE(bits_#(row, col)); }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> {
    let i = #_at(row, col);
    if (IN_WORDS || (count >= 4u && (i & 1u) == 0u)) {
        let low = raw_#(i >> 1u);
        let high = raw_#((i >> 1u) + 1u);
        return vec4<f32>(DECODE(low & 0xffffu), DECODE(low >> 16u), DECODE(high & 0xffffu), DECODE(high >> 16u));
    }
    if (count >= 4u) { return decoded4_#(words4_#(row, col)); }
    var out = vec4<f32>();
    for (var n = 0u; n < count; n++) { out[n] = load_#(row, col + n); }
    return out;
}
";

const READS_QUARTERS: &str = "
fn bits_#(row: u32, col: u32) -> u32 {
    let i = #_at(row, col);
    return (raw_#(i >> 2u) >> ((i & 3u) * 8u)) & 0xffu;
}
fn words4_#(row: u32, col: u32) -> vec4<u32> {
    let i = #_at(row, col);
    let shift = (i & 3u) * 8u;
    var last = 0u;
    if (!IN_WORDS && shift != 0u) { last = raw_#((i + 3u) >> 2u); }
    return vec4<u32>(raw_#(i >> 2u), last, shift, 0u);
}
fn decoded4_#(words: vec4<u32>) -> vec4<f32> {
    // In two shifts: one of 32 bits is none.
    let between = (words.x >> words.z) | ((words.y << (24u - words.z)) << 8u);
    let all = select(between, words.x, IN_WORDS);
    let bytes = (vec4<u32>(all) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    return vec4<f32>(DECODE(bytes.x), DECODE(bytes.y), DECODE(bytes.z), DECODE(bytes.w));
}
fn load_#(row: u32, col: u32) -> f32 { return DECODE(bits_#(row, col)); }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> {
    let i = #_at(row, col);
    if (IN_WORDS || (count >= 4u && (i & 3u) == 0u)) {
        let four = raw_#(i >> 2u);
        return vec4<f32>(DECODE(four & 0xffu), DECODE((four >> 8u) & 0xffu), DECODE((four >> 16u) & 0xffu), DECODE(four >> 24u));
    }
    if (count >= 4u) { return decoded4_#(words4_#(row, col)); }
    var out = vec4<f32>();
    for (var n = 0u; n < count; n++) { out[n] = load_#(row, col + n); }
    return out;
}
";

const WRITES_WORDS: &str = "
fn put_#(row: u32, col: u32, bits: u32) { #_words[#_at(row, col)] = bits; }
fn put2_#(row: u32, col: u32, count: u32, bits: vec2<u32>) {
    if (IN_WORDS || count > 0u) { put_#(row, col, bits.x); }
    if (IN_WORDS || count > 1u) { put_#(row, col + 1u, bits.y); }
}
";

const WRITES_HALVES: &str = "
fn put_#(row: u32, col: u32, bits: u32) {
    let i = #_at(row, col);
    change_#(i >> 1u, (i & 1u) * 16u, bits, 0xffffu);
}
fn put2_#(row: u32, col: u32, count: u32, bits: vec2<u32>) {
    let i = #_at(row, col);
    if (IN_WORDS || (count > 1u && (i & 1u) == 0u)) {
        atomicStore(&#_words[i >> 1u], bits.x | (bits.y << 16u));
        return;
    }
    if (count > 0u) { put_#(row, col, bits.x); }
    if (count > 1u) { put_#(row, col + 1u, bits.y); }
}
";

const WRITES_QUARTERS: &str = "
fn put_#(row: u32, col: u32, bits: u32) {
    let i = #_at(row, col);
    change_#(i >> 2u, (i & 3u) * 8u, bits, 0xffu);
}
fn put2_#(row: u32, col: u32, count: u32, bits: vec2<u32>) {
    let i = #_at(row, col);
    if (count > 1u && (i & 1u) == 0u) {
        change_#(i >> 2u, (i & 3u) * 8u, bits.x | (bits.y << 8u), 0xffffu);
        return;
    }
    if (count > 0u) { put_#(row, col, bits.x); }
    if (count > 1u) { put_#(row, col + 1u, bits.y); }
}
";

const WRITES: &str = "
fn store_#(row: u32, col: u32, value: f32) { put_#(row, col, ENCODE(value)); }
fn store2_#(row: u32, col: u32, count: u32, values: vec2<f32>) {
    put2_#(row, col, count, vec2<u32>(ENCODE(values.x), ENCODE(values.y)));
}
fn store4_#(row: u32, col: u32, count: u32, values: vec4<f32>) {
    store2_#(row, col, count, values.xy);
    if (IN_WORDS || count > 2u) { store2_#(row, col + 2u, count - 2u, values.zw); }
}
fn rounded4_#(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(DECODE(ENCODE(x.x)), DECODE(ENCODE(x.y)), DECODE(ENCODE(x.z)), DECODE(ENCODE(x.w)));
}
";

/// Functions that the text names and never calls.
pub(super) fn stubs(kind: Kind, bound: bool) -> String {
    let at = if bound { "" } else { "fn #_at(row: u32, col: u32) -> u32 { return 0u; }\n" };
    let rest = match kind {
        Kind::Status => "fn report(fault: u32) {}\n",
        Kind::Ints => {
            "fn int_#(i: u32) -> i32 { return 0; }
fn int2_#(row: u32, col: u32) -> i32 { return 0; }
fn put_int_#(i: u32, value: i32) {}
"
        }
        Kind::Halves => "fn vec_#(i: u32) -> vec4<f16> { return vec4<f16>(); }\n",
        Kind::Vectors(_) => "fn vec_#(i: u32) -> vec4<u32> { return vec4<u32>(); }\n",
        Kind::Bytes => {
            "fn byte_#(i: u32) -> u32 { return 0u; }
fn word_#(i: u32) -> u32 { return 0u; }
"
        }
        Kind::Reads(_) | Kind::Writes(_) => {
            "fn load_#(row: u32, col: u32) -> f32 { return 0.0; }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> { return vec4<f32>(); }
fn words4_#(row: u32, col: u32) -> vec4<u32> { return vec4<u32>(); }
fn decoded4_#(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(); }
fn rounded4_#(x: vec4<f32>) -> vec4<f32> { return x; }
fn store_#(row: u32, col: u32, value: f32) {}
fn store2_#(row: u32, col: u32, count: u32, values: vec2<f32>) {}
fn store4_#(row: u32, col: u32, count: u32, values: vec4<f32>) {}
"
        }
    };
    format!("{at}{rest}")
}
