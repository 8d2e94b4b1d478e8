//! The text of a kernel: constants, bindings and the functions that read and write operands, in front of its files.
//!
//! Every binding is `read_write`, also what is only read: an engine may keep several operands in one buffer, and a buffer must
//! not be bound both ways in one dispatch. Elements of two bytes share words. An output of them is an array of atomics: where an
//! invocation owns one half of a word, it changes that half alone, and whoever owns the other never notices.

use super::launch::{Kind, Launch, Param};
use crate::dtype::DType;
use dropless_kernels_wgsl::{Artifact, CONVERT, Kernel};

/// Most workgroups in one dimension of a dispatch; what is more goes to the second.
pub(super) const MAX_GROUPS: usize = 65_535;

/// The whole text of a launch.
pub(super) fn source(artifact: &Artifact, kernel: &Kernel, launch: &Launch) -> String {
    let mut out = String::new();
    for (feature, word) in [("SHADER_F16", "f16"), ("EXPERIMENTAL_COOPERATIVE_MATRIX", "wgpu_cooperative_matrix")] {
        if artifact.needs.contains(&feature) {
            out += &format!("enable {word};\n");
        }
    }
    // Untyped: they are sizes of arrays and numbers of either sign. What the spec decides comes before the variant's own.
    let own = artifact.sizes.iter().filter(|(name, _)| launch.consts.iter().all(|(n, _)| n != name));
    for (name, value) in launch.consts.iter().chain(own) {
        out += &format!("const {name} = {value};\n");
    }
    out += &format!("struct Params {{\n    views: array<vec4<u32>, {}>,\n", view_vectors(launch));
    for (name, param) in params(launch) {
        out += &format!("    {name}: {},\n", param.wgsl());
    }
    out += "}\n@group(0) @binding(0) var<uniform> p: Params;\n";
    out += &format!("const MAX_GROUPS = {MAX_GROUPS}u;\n");
    out += "fn item_of(group: vec3<u32>) -> u32 { return group.y * MAX_GROUPS + group.x; }\n";
    out += CONVERT;
    for (i, binding) in launch.bindings.iter().enumerate() {
        out += &declared(binding.name, binding.kind, i);
        out += &functions(binding.kind).replace('#', binding.name);
    }
    for (name, kind) in &launch.absent {
        let bound = launch.bindings.iter().any(|b| b.name == *name);
        out += &stubs(*kind, bound).replace('#', name);
    }
    for file in kernel.files {
        out += &repeated(file, artifact);
    }
    out
}

/// With a line for each fragment where the text has `$m` or `$n`: arrays of cooperative matrices are nothing that drivers take.
fn repeated(text: &str, artifact: &Artifact) -> String {
    if !text.contains('$') {
        return text.into();
    }
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("//")) {
        let tiles = |sign: &str, size: &str| if line.contains(sign) { artifact.size(size) } else { 1 };
        for (m, n) in (0..tiles("$m", "M_TILES")).flat_map(|m| (0..tiles("$n", "N_TILES")).map(move |n| (m, n))) {
            out += &line.replace("$m", &m.to_string()).replace("$n", &n.to_string());
            out.push('\n');
        }
    }
    out
}

/// Vectors of four that hold base and stride of each binding.
pub(super) fn view_vectors(launch: &Launch) -> usize {
    launch.bindings.len().div_ceil(2).max(1)
}

/// The uniform buffer's numbers behind the views.
pub(super) fn params(launch: &Launch) -> impl Iterator<Item = (&'static str, Param)> {
    std::iter::once(("items", Param::U32(launch.items as u32))).chain(launch.params.iter().copied())
}

fn two_bytes(kind: Kind) -> bool {
    matches!(kind, Kind::Reads(d) | Kind::Writes(d) if d.bytes() == 2)
}

fn atomic(kind: Kind) -> bool {
    kind == Kind::Status || (matches!(kind, Kind::Writes(_)) && two_bytes(kind))
}

fn declared(name: &str, kind: Kind, index: usize) -> String {
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

fn functions(kind: Kind) -> String {
    match kind {
        Kind::Ints => INTS.into(),
        Kind::Bytes => BYTES.into(),
        Kind::Vectors(_) => VECTORS.into(),
        Kind::Halves => HALVES.into(),
        Kind::Status => STATUS.into(),
        Kind::Reads(dtype) | Kind::Writes(dtype) => {
            let word = if atomic(kind) { "atomicLoad(&#_words[WORD])" } else { "#_words[WORD]" };
            let (decode, encode) = match dtype {
                DType::Bf16 => ("f32_of_bf16", "bf16_of_f32"),
                DType::F16 => ("f32_of_f16", "f16_of_f32"),
                _ => ("bitcast<f32>", "bitcast<u32>"),
            };
            let mut text = String::from(if two_bytes(kind) { READS_HALVES } else { READS_WORDS });
            if matches!(kind, Kind::Writes(_)) {
                text += if two_bytes(kind) { WRITES_HALVES } else { WRITES_WORDS };
                text += WRITES;
            }
            // Each `[word]` of the text is a load of that word.
            let loads = |text: String, place: &str| text.replace(&format!("[{place}]"), &word.replace("WORD", place));
            let text = ["i >> 1u", "(i >> 1u) + 1u", "i", "i + 1u", "i + 2u", "i + 3u"]
                .into_iter()
                .fold(text, |text, place| loads(text, &format!("LOAD {place}")));
            text.replace("LOAD ", "").replace("DECODE", decode).replace("ENCODE", encode)
        }
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

const READS_WORDS: &str = "
fn bits_#(row: u32, col: u32) -> u32 { let i = #_at(row, col); return [LOAD i]; }
fn load_#(row: u32, col: u32) -> f32 { return DECODE(bits_#(row, col)); }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> {
    let i = #_at(row, col);
    if (count >= 4u) {
        return vec4<f32>(DECODE([LOAD i]), DECODE([LOAD i + 1u]), DECODE([LOAD i + 2u]), DECODE([LOAD i + 3u]));
    }
    var out = vec4<f32>();
    for (var n = 0u; n < count; n++) { out[n] = load_#(row, col + n); }
    return out;
}
";

const READS_HALVES: &str = "
fn bits_#(row: u32, col: u32) -> u32 {
    let i = #_at(row, col);
    return ([LOAD i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu;
}
fn load_#(row: u32, col: u32) -> f32 { return DECODE(bits_#(row, col)); }
fn load4_#(row: u32, col: u32, count: u32) -> vec4<f32> {
    let i = #_at(row, col);
    if (count >= 4u && (i & 1u) == 0u) {
        let low = [LOAD i >> 1u];
        let high = [LOAD (i >> 1u) + 1u];
        return vec4<f32>(DECODE(low & 0xffffu), DECODE(low >> 16u), DECODE(high & 0xffffu), DECODE(high >> 16u));
    }
    var out = vec4<f32>();
    for (var n = 0u; n < min(count, 4u); n++) { out[n] = load_#(row, col + n); }
    return out;
}
";

const WRITES_WORDS: &str = "
fn put_#(row: u32, col: u32, bits: u32) { #_words[#_at(row, col)] = bits; }
fn put2_#(row: u32, col: u32, count: u32, bits: vec2<u32>) {
    if (count > 0u) { put_#(row, col, bits.x); }
    if (count > 1u) { put_#(row, col + 1u, bits.y); }
}
";

const WRITES_HALVES: &str = "
fn put_#(row: u32, col: u32, bits: u32) {
    let i = #_at(row, col);
    let shift = (i & 1u) * 16u;
    let old = atomicLoad(&#_words[i >> 1u]);
    atomicXor(&#_words[i >> 1u], (((old >> shift) ^ bits) & 0xffffu) << shift);
}
fn put2_#(row: u32, col: u32, count: u32, bits: vec2<u32>) {
    let i = #_at(row, col);
    if (count > 1u && (i & 1u) == 0u) {
        atomicStore(&#_words[i >> 1u], bits.x | (bits.y << 16u));
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
    if (count > 2u) { store2_#(row, col + 2u, count - 2u, values.zw); }
}
fn rounded4_#(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(DECODE(ENCODE(x.x)), DECODE(ENCODE(x.y)), DECODE(ENCODE(x.z)), DECODE(ENCODE(x.w)));
}
";

/// Functions that the text names and never calls.
fn stubs(kind: Kind, bound: bool) -> String {
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
fn rounded4_#(x: vec4<f32>) -> vec4<f32> { return x; }
fn store_#(row: u32, col: u32, value: f32) {}
fn store4_#(row: u32, col: u32, count: u32, values: vec4<f32>) {}
"
        }
    };
    format!("{at}{rest}")
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::op::cases::Cases;
    use crate::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
    use crate::op::{
        ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, RmsNormSpec, RopeSpec, SwigluSpec,
    };
    use crate::wgpu::device::Capabilities;
    use crate::wgpu::plan::WgpuOp;
    use dropless_kernels_wgsl::ARTIFACTS;
    use std::collections::BTreeMap;

    /// The text of every launch of every case, by name.
    fn texts<O: WgpuOp + Cases>(all: &mut BTreeMap<String, (&'static Artifact, usize)>) {
        for artifact in ARTIFACTS.iter().filter(|a| a.op == O::NAME) {
            for case in O::cases().iter().filter(|c| c.op.legal(artifact).is_ok()) {
                for launch in case.op.launches(artifact, &Capabilities::default()).unwrap().list {
                    let kernel = artifact.kernels.iter().find(|k| k.name == launch.kernel).unwrap();
                    all.insert(source(artifact, kernel, &launch), (artifact, launch.bindings.len()));
                }
            }
        }
    }

    fn every_text() -> BTreeMap<String, (&'static Artifact, usize)> {
        let mut all = BTreeMap::new();
        texts::<GroupedGemmSpec>(&mut all);
        texts::<RouteSpec>(&mut all);
        texts::<SortSpec>(&mut all);
        texts::<DispatchSpec>(&mut all);
        texts::<PermuteSpec>(&mut all);
        texts::<CombineSpec>(&mut all);
        texts::<FlashAttnSpec>(&mut all);
        texts::<KvAppendSpec>(&mut all);
        texts::<RopeSpec>(&mut all);
        texts::<RmsNormSpec>(&mut all);
        texts::<SwigluSpec>(&mut all);
        texts::<EmbeddingSpec>(&mut all);
        texts::<ArgmaxSpec>(&mut all);
        all
    }

    /// What a device promises beyond WebGPU's defaults, as far as a variant asks for it.
    fn promised(artifact: &Artifact) -> naga::valid::Capabilities {
        use naga::valid::Capabilities;
        // f16 in words: WebGPU has it everywhere.
        artifact.needs.iter().fold(Capabilities::SHADER_FLOAT16_IN_FLOAT32, |all, need| {
            all | match *need {
                "SHADER_F16" => Capabilities::SHADER_FLOAT16,
                "EXPERIMENTAL_COOPERATIVE_MATRIX" => Capabilities::COOPERATIVE_MATRIX,
                other => panic!("{}: say here what {other} means to naga", artifact.variant),
            }
        })
    }

    /// Into what Vulkan, Metal and DX12 compile: languages with limits of their own.
    fn translates(module: &naga::Module, info: &naga::valid::ModuleInfo, artifact: &Artifact) {
        use naga::back::{hlsl, msl, spv};
        let name = &module.entry_points[0].name;
        let spirv = spv::write_vec(module, info, &spv::Options::default(), None);
        assert!(spirv.is_ok_and(|words| words.len() > 100), "{name} as SPIR-V");
        if artifact.needs.contains(&"EXPERIMENTAL_COOPERATIVE_MATRIX") {
            // Of 16 x 16 only Vulkan has them.
            return;
        }
        // Metal 2.4 is what wgpu asks for on macOS 12.
        let options = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
        let metal = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
        assert!(metal.unwrap_or_else(|e| panic!("{name} as MSL: {e}")).0.contains("kernel void"), "{name}");
        let (options, all) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
        let mut direct = String::new();
        let written = hlsl::Writer::new(&mut direct, &options, &all).write(module, info, None);
        written.unwrap_or_else(|e| panic!("{name} as HLSL: {e}"));
        assert!(direct.contains("[numthreads("), "{name}");
    }

    #[test]
    fn every_kernel_is_valid_and_within_the_limits_of_webgpu() {
        let (all, limits) = (every_text(), wgpu::Limits::default());
        assert!(all.len() > 100, "only {} texts", all.len());
        for (text, (artifact, bindings)) in &all {
            let module =
                naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{}\n{text}", e.emit_to_string(text)));
            let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), promised(artifact));
            let info = validator.validate(&module);
            let info = info.unwrap_or_else(|e| panic!("{}\n{text}", e.emit_to_string(text)));
            translates(&module, &info, artifact);
            let [entry] = &module.entry_points[..] else { panic!("one entry point\n{text}") };
            let threads: u32 = entry.workgroup_size.iter().product();
            assert!(threads <= limits.max_compute_invocations_per_workgroup, "{}: {threads} invocations", entry.name);
            assert!(*bindings <= limits.max_storage_buffers_per_shader_stage as usize, "{}: {bindings}", entry.name);
            let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
            let bytes: u32 = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum();
            // Where there are matrices, there is more.
            let most = if artifact.needs.is_empty() { limits.max_compute_workgroup_storage_size } else { 48 << 10 };
            assert!(bytes <= most, "{}: {bytes} bytes", entry.name);
        }
    }
}
