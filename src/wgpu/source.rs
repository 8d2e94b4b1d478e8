//! The text of a kernel: constants, bindings and the functions that read and write operands, in front of its files.

use super::access::{declared, functions, stubs};
use super::launch::{Launch, Param};
use dropless_kernels_wgsl::{Artifact, CONVERT, Kernel};

/// Most workgroups in one dimension of a dispatch; what is more goes to the second.
pub(super) const MAX_GROUPS: usize = 65_535;

/// What a text says first of the features that it needs.
pub(super) fn enabled(needs: &[&str]) -> String {
    let words = [("SHADER_F16", "f16"), ("EXPERIMENTAL_COOPERATIVE_MATRIX", "wgpu_cooperative_matrix")];
    let needed = words.iter().filter(|(feature, _)| needs.contains(feature));
    needed.map(|(_, word)| format!("enable {word};\n")).collect()
}

/// The whole text of a launch.
pub(super) fn source(artifact: &Artifact, kernel: &Kernel, launch: &Launch) -> String {
    let mut out = enabled(artifact.needs);
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
    out += &format!("const MAX_GROUPS = {MAX_GROUPS}u;\nconst IN_WORDS = {};\n", launch.in_words);
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

#[cfg(all(test, feature = "testing"))]
mod tests;
