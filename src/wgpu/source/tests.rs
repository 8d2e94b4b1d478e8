//! Every generated text, as naga and the compilers behind it take it.

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
