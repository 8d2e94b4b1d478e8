//! Every generated text, as naga and the compilers behind it take it.

mod compilers;

use super::*;
use crate::op::cases::Cases;
use crate::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
use crate::op::{
    ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, RmsNormSpec, RopeSpec, SwigluSpec,
};
use crate::wgpu::bind::{NOTHINGS, nothing};
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
                for launch in [launch.anywhere(), launch] {
                    all.insert(source(artifact, kernel, &launch), (artifact, launch.bindings.len()));
                }
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
            "SUBGROUP" => Capabilities::SUBGROUP,
            "PASSTHROUGH_SHADERS" => Capabilities::empty(),
            other => panic!("{}: say here what {other} means to naga", artifact.variant),
        }
    })
}

/// A text, checked.
struct Parsed {
    artifact: &'static Artifact,
    bindings: usize,
    module: naga::Module,
    info: naga::valid::ModuleInfo,
}

impl Parsed {
    fn new(text: &str, artifact: &'static Artifact, bindings: usize) -> Self {
        let module =
            naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{}\n{text}", e.emit_to_string(text)));
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), promised(artifact));
        let info = validator.validate(&module).unwrap_or_else(|e| panic!("{}\n{text}", e.emit_to_string(text)));
        assert_eq!(module.entry_points.len(), 1, "one entry point\n{text}");
        Parsed { artifact, bindings, module, info }
    }

    fn entry(&self) -> &naga::EntryPoint {
        &self.module.entry_points[0]
    }

    fn name(&self) -> String {
        format!("{} of {} {}", self.entry().name, self.artifact.op, self.artifact.variant)
    }

    fn has_matrices(&self) -> bool {
        self.module.types.iter().any(|(_, t)| matches!(t.inner, naga::TypeInner::CooperativeMatrix { .. }))
    }

    /// Rows and columns of its cooperative matrices, none where it has none.
    fn side(&self) -> Option<u32> {
        Some(self.artifact.size("SIDE")).filter(|side| *side > 1)
    }
}

fn every_module() -> Vec<Parsed> {
    every_text().into_iter().map(|(text, (artifact, bindings))| Parsed::new(&text, artifact, bindings)).collect()
}

#[test]
fn every_kernel_is_valid_and_within_the_limits_of_webgpu() {
    let (all, limits) = (every_module(), wgpu::Limits::default());
    assert!(all.len() > 100, "only {} texts", all.len());
    for parsed in &all {
        let (module, name, bindings) = (&parsed.module, parsed.name(), parsed.bindings);
        let threads: u32 = parsed.entry().workgroup_size.iter().product();
        assert!(threads <= limits.max_compute_invocations_per_workgroup, "{name}: {threads} invocations");
        let most = limits.max_storage_buffers_per_shader_stage.max(parsed.artifact.size("BINDINGS"));
        assert!(bindings <= most as usize, "{name}: {bindings} bindings");
        assert!(nothing(bindings - 1).0 < NOTHINGS, "{name}: all {bindings} operands may be empty");
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let shared: Vec<u32> = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).collect();
        let bytes: u32 = shared.iter().sum();
        // include/matrices_16.wgsl says why.
        assert!(!parsed.has_matrices() || shared.iter().all(|b| b % 16 == 0), "{name}: variables of {shared:?} bytes");
        // Or what the variant says it needs.
        let most = limits.max_compute_workgroup_storage_size.max(parsed.artifact.size("WORKGROUP_BYTES"));
        assert!(bytes <= most, "{name}: {bytes} bytes of workgroup memory");
    }
}
