//! Which variant runs: a pure function of the spec, the device and the hint, the same on every machine.

use super::Wgpu;
use super::device::Capabilities;
use super::plan::{WgpuOp, within};
pub use crate::backend::Rejected;
use crate::backend::choose::{self, Judge, Variant};
use crate::backend::{Backend, DeviceInfo, Explain, Explanation, Hint};
use crate::error::Error;
use dropless_kernels_wgsl::{ARTIFACTS, Artifact};

/// The chosen variant and those that stood before it in the table.
pub type Choice = crate::backend::Choice<Artifact>;

impl Variant for Artifact {
    fn name(&self) -> &'static str {
        self.variant
    }
}

impl<O: WgpuOp> Judge<O> for Capabilities {
    const BACKEND: &'static str = Wgpu::NAME;
    const MADE: &'static str = "written";
    type Variant = Artifact;

    fn variants(&self) -> impl Iterator<Item = &'static Artifact> {
        ARTIFACTS.iter().filter(|a| a.op == O::NAME)
    }

    fn limits(&self, op: &O) -> Result<(), String> {
        for operand in op.operands().iter().filter(|o| !op.windowed(o.name)) {
            let bytes = operand.shape.len().saturating_mul(operand.dtype.bytes()) as u64;
            fits(operand.name, bytes, self)?;
        }
        op.limits()
    }

    fn may_run(&self, op: &O, artifact: &'static Artifact) -> Result<(), String> {
        for name in artifact.needs {
            if wgpu::Features::from_name(name).is_none_or(|feature| !self.features.contains(feature)) {
                return Err(format!("needs the feature {name}, which the device was not opened with"));
            }
        }
        if let Some(fault) = self.faults.iter().find(|f| artifact.relies.contains(&f.probe)) {
            return Err(format!("this driver failed the probe `{}`: {}", fault.probe, fault.reason));
        }
        let (threads, most) = (artifact.size("THREADS"), self.limits.max_compute_invocations_per_workgroup);
        if threads > most {
            return Err(format!("workgroups have {threads} invocations, the device takes {most}"));
        }
        // Where a variant says how much it needs; the others stay within WebGPU's default.
        let (bytes, most) = (artifact.size("WORKGROUP_BYTES"), self.limits.max_compute_workgroup_storage_size);
        if bytes > most {
            return Err(format!("workgroups have {bytes} bytes of memory, the device gives {most}"));
        }
        // Where a variant binds more than WebGPU's default.
        let (bindings, most) = (artifact.size("BINDINGS"), self.limits.max_storage_buffers_per_shader_stage);
        if bindings > most {
            return Err(format!("kernels bind {bindings} operands, the device takes {most}"));
        }
        let (wanted, side) = (artifact.size("SIDE"), self.side);
        if wanted != 1 && wanted != side {
            return Err(format!("made for matrices of {wanted} x {wanted}, the device has {side} x {side}"));
        }
        let (wanted, (least, most)) = (artifact.size("SUBGROUP"), self.subgroups);
        if wanted != 1 && (least, most) != (wanted, wanted) {
            return Err(format!("made for subgroups of {wanted}, the device has {least} to {most}"));
        }
        op.legal(artifact)?;
        within(&op.launches(artifact, self)?, self)
    }

    fn suits(&self, op: &O, artifact: &'static Artifact, hint: Hint<'_>) -> Result<(), String> {
        op.suits(artifact, hint)
    }

    fn scratch_bytes(&self, op: &O, artifact: &'static Artifact) -> Result<usize, String> {
        op.launches(artifact, self).map(|launches| launches.scratch)
    }
}

/// The first variant of the table that may run `op` on a device with these features and limits; with a forced variant, that
/// one, if it is legal at all.
///
/// # Errors
/// [`Error::Unsupported`] with every variant and its reason, one a line.
pub fn choose<O: WgpuOp>(op: &O, device: &Capabilities, hint: Hint<'_>) -> Result<Choice, Error> {
    choose::choose(device, op, hint)
}

impl<O: WgpuOp> Explain<O> for Wgpu {
    /// With the limits of WebGPU's default, which every device has.
    fn explain(op: &O, _: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error> {
        choose::explain(&Capabilities::default(), op, hint)
    }

    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        choose::explain(self.capabilities(), op, hint)
    }
}

/// May an operand of so many bytes be bound?
///
/// # Errors
/// Both sizes, in words.
pub(super) fn fits(operand: &str, bytes: u64, device: &Capabilities) -> Result<(), String> {
    let most = device.limits.max_storage_buffer_binding_size;
    if bytes > most {
        return Err(format!("`{operand}` takes {bytes} bytes, the device binds up to {most}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::{EmbeddingSpec, GroupedGemmSpec, RmsNormSpec};

    const OP: EmbeddingSpec = EmbeddingSpec { tokens: 5, vocab: 9, dim: 64, table: DType::F16, out: DType::F32 };

    fn reason<O: WgpuOp>(op: &O, hint: Hint<'_>) -> String {
        match choose(op, &Capabilities::default(), hint) {
            Err(Error::Unsupported { backend: "wgpu", reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_name_the_operand_or_every_variant() {
        assert_eq!(choose(&OP, &Capabilities::default(), Hint::default()).unwrap().variant(), "portable");
        let forced = Hint { variant: Some("nothing"), ..Hint::default() };
        assert!(reason(&OP, forced).contains("no variant `nothing`; there are portable"));
        let wide = EmbeddingSpec { vocab: 1 << 20, dim: 128, ..OP };
        assert!(reason(&wide, Hint::default()).contains("`table` takes 268435456 bytes"));
        let (x, weight, out) = (DType::F64, DType::F32, DType::F32);
        let oracle = RmsNormSpec { rows: 1, dim: 8, eps: 1e-5.into(), x, weight, out, residual: false };
        assert!(reason(&oracle, Hint::default()).contains("`x` is f64"));
    }

    #[test]
    fn features_have_the_names_that_wgpu_knows() {
        for name in ARTIFACTS.iter().flat_map(|a| a.needs) {
            assert!(wgpu::Features::from_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_relies_on_a_failed_probe_does_not_run() {
        let tiled = crate::op::WeightFormat::Mxfp4Tiled;
        let op = GroupedGemmSpec {
            weights: tiled,
            ..GroupedGemmSpec::linear(1, 64, 64, DType::F32, DType::F32, None, DType::F32)
        };
        assert_eq!(choose(&op, &Capabilities::default(), Hint::default()).unwrap().variant(), "tiled_1");
        let fault = crate::wgpu::Fault { probe: "halves", reason: "result 2 is 0e0, not 5e-1".into() };
        let device = Capabilities { faults: vec![fault], ..Capabilities::default() };
        let choice = choose(&op, &device, Hint::default()).unwrap();
        assert_eq!(choice.variant(), "few_rows");
        assert!(choice.rejected.iter().any(|r| r.variant == "tiled_1" && r.reason.contains("not 5e-1")), "{choice:?}");
    }

    #[test]
    fn matrices_are_for_many_rows_an_expert_and_much_workgroup_memory() {
        use wgpu::Features as F;
        let features = F::SHADER_F16 | F::EXPERIMENTAL_COOPERATIVE_MATRIX | F::PASSTHROUGH_SHADERS;
        let limits = wgpu::Limits { max_compute_workgroup_storage_size: 48 << 10, ..wgpu::Limits::default() };
        let device = Capabilities { features, limits, subgroups: (32, 32), side: 16, ..Capabilities::default() };
        let local = crate::op::LocalExperts { first: 0, count: 32 };
        let weights = crate::op::WeightFormat::Mxfp4Tiled;
        let one = GroupedGemmSpec::linear(1, 64, 64, DType::Bf16, DType::Bf16, None, DType::Bf16);
        let reason = |each: usize, name: &str, device: &Capabilities| {
            let op = GroupedGemmSpec { rows: 32 * each, experts: 32, local, grouped: true, weights, ..one };
            let choice = choose(&op, device, Hint::default()).unwrap();
            match choice.variant() == name {
                true => "chosen".into(),
                false => choice.rejected.iter().find(|r| r.variant == name).unwrap().reason.clone(),
            }
        };
        for (each, name) in [(4, "tiled_4"), (8, "coop_16"), (16, "coop_64"), (64, "coop_128")] {
            assert_eq!(reason(each, name, &device), "chosen");
        }
        assert!(reason(64, "coop_64", &device).contains("up to 48 rows"));
        assert!(reason(4, "coop_16", &device).contains("5.5 rows an expert and more"));
        // Of a layer with few columns matrices fill a device late.
        let linear = |rows: usize, n: usize| {
            let op = GroupedGemmSpec::linear(rows, n, 64, DType::Bf16, DType::Bf16, None, DType::Bf16);
            choose(&op, &device, Hint::default()).unwrap().variant()
        };
        assert_eq!([1, 28, 29].map(|rows| linear(rows, 5120)), ["dense_1", "dense_4", "coop_dense"]);
        assert_eq!([14, 15].map(|rows| linear(rows, 201_088)), ["dense_4", "coop_dense"]);
        assert_eq!([64, 512, 513].map(|rows| linear(rows, 32)), ["dense_4", "dense_4", "coop_dense"]);
        let other = Capabilities { subgroups: (16, 32), ..device.clone() };
        assert!(reason(64, "coop_128", &other).contains("subgroup"));
        assert!(reason(64, "coop8_64", &other).contains("matrices of 8 x 8, the device has 16 x 16"));
        let small = Capabilities { limits: wgpu::Limits::default(), ..device };
        assert!(reason(64, "coop_128", &small).contains("workgroup"));
    }

    #[test]
    fn weights_larger_than_a_binding_are_bound_in_parts() {
        // Experts of 48 MiB each where a binding has 128.
        let bf16 = DType::Bf16;
        let one = GroupedGemmSpec::linear(4, 4096, 6144, bf16, bf16, None, bf16);
        let local = crate::op::LocalExperts { first: 0, count: 5 };
        let op = GroupedGemmSpec { experts: 5, local, grouped: true, ..one };
        let choice = choose(&op, &Capabilities::default(), Hint::default()).unwrap();
        let launches = op.launches(choice.artifact, &Capabilities::default()).unwrap();
        let tiles = launches.list.iter().filter(|l| l.kernel == "grouped_gemm").count();
        assert_eq!(tiles, 3);
    }

    #[test]
    fn scratch_may_be_larger_than_what_is_bound_of_it() {
        let bf16 = DType::Bf16;
        let op = |tokens: usize| {
            let rows = 4 * tokens;
            let local = crate::op::LocalExperts { first: 0, count: 32 };
            let combine = Some(crate::op::Combine { tokens, top_k: 4, weight: DType::F32 });
            let one = GroupedGemmSpec::linear(rows, 1024, 64, bf16, bf16, None, bf16);
            GroupedGemmSpec { experts: 32, local, grouped: true, combine, ..one }
        };
        // Rows in f32 are as many as the 128 MiB of a binding; the tables are behind them.
        let fitting = (128 << 20) / (4 * 1024 * 4);
        let device = Capabilities::default();
        let choice = choose(&op(fitting), &device, Hint::default()).unwrap();
        let scratch = op(fitting).launches(choice.artifact, &device).unwrap().scratch;
        assert!(scratch as u64 > device.limits.max_storage_buffer_binding_size);
        let told = explain(&op(fitting + 1));
        assert_eq!(told.chosen, None, "what a plan would refuse is not explained as chosen");
        assert!(told.rejected.iter().any(|r| r.reason.contains("`scratch` takes")), "{told:?}");
    }

    fn explain<O: WgpuOp>(op: &O) -> Explanation {
        choose::explain(&Capabilities::default(), op, Hint::default()).unwrap()
    }

    #[test]
    fn an_explanation_names_what_runs() {
        let info = DeviceInfo { name: "any".into(), arch: crate::backend::Arch::Wgsl, units: 1, shared_bytes: 16384 };
        let told = Wgpu::explain(&OP, &info, Hint::default()).unwrap();
        assert_eq!((told.chosen, told.rejected.len()), (Some("portable"), 0));
        let none = EmbeddingSpec { vocab: 0, ..OP };
        assert!(matches!(Wgpu::explain(&none, &info, Hint::default()), Err(Error::Spec(_))));
    }
}
