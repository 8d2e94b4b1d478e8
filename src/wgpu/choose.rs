//! Which variant runs: a pure function of the spec, the device and the hint, the same on every machine.

use super::Wgpu;
use super::device::Capabilities;
use super::plan::WgpuOp;
pub use crate::backend::Rejected;
use crate::backend::{Backend, DeviceInfo, Explain, Explanation, Hint};
use crate::dtype::DType;
use crate::error::Error;
use dropless_kernels_wgsl::{ARTIFACTS, Artifact};

/// The chosen variant and those that stood before it in the table.
#[derive(Clone, Debug)]
pub struct Choice {
    pub(super) artifact: &'static Artifact,
    /// Variants that were passed over, in the order of the table.
    pub rejected: Vec<Rejected>,
}

impl Choice {
    /// Name of the chosen variant.
    pub fn variant(&self) -> &'static str {
        self.artifact.variant
    }
}

/// The first variant of the table that may run `op` on a device with these features and limits; with a forced variant, that
/// one, if it is legal at all.
///
/// # Errors
/// [`Error::Unsupported`] with every variant and its reason, one a line.
pub fn choose<O: WgpuOp>(op: &O, device: &Capabilities, hint: Hint<'_>) -> Result<Choice, Error> {
    let mut rejected = Vec::new();
    for (artifact, verdict) in verdicts(op, device, hint)? {
        match verdict {
            Ok(()) => return Ok(Choice { artifact, rejected }),
            Err(reason) => rejected.push(Rejected { variant: artifact.variant, reason }),
        }
    }
    let lines: Vec<String> = rejected.iter().map(|r| format!("{}: {}", r.variant, r.reason)).collect();
    let reason = if lines.is_empty() { "no variant was written for it".into() } else { lines.join("\n") };
    Err(Error::Unsupported { backend: Wgpu::NAME, op: O::NAME, reason })
}

/// May each variant run, and should it? In the order of the table.
fn verdicts<O: WgpuOp>(
    op: &O,
    device: &Capabilities,
    hint: Hint<'_>,
) -> Result<impl Iterator<Item = (&'static Artifact, Result<(), String>)>, Error> {
    let unsupported = |reason| Error::Unsupported { backend: Wgpu::NAME, op: O::NAME, reason };
    let operands = op.operands();
    if let Some(operand) = operands.iter().find(|o| o.dtype == DType::F64) {
        return Err(unsupported(format!("`{}` is f64, which only the cpu oracle takes", operand.name)));
    }
    for operand in operands.iter().filter(|o| !op.windowed(o.name)) {
        let bytes = operand.shape.len().saturating_mul(operand.dtype.bytes()) as u64;
        fits(operand.name, bytes, device).map_err(unsupported)?;
    }
    op.limits().map_err(unsupported)?;
    Ok(ARTIFACTS.iter().filter(|a| a.op == O::NAME).map(move |artifact| {
        let verdict = match hint.variant {
            Some(name) if name != artifact.variant => Err(format!("variant `{name}` was asked for")),
            Some(_) => may_run(op, artifact, device),
            None => may_run(op, artifact, device).and_then(|()| op.suits(artifact, hint)),
        };
        (artifact, verdict)
    }))
}

fn explain<O: WgpuOp>(op: &O, device: &Capabilities, hint: Hint<'_>) -> Result<Explanation, Error> {
    op.check()?;
    let mut explanation = Explanation { chosen: None, rejected: Vec::new(), scratch_bytes: 0 };
    for (artifact, verdict) in verdicts(op, device, hint)? {
        let verdict = verdict.and_then(|()| op.launches(artifact, device));
        let reason = match (verdict, explanation.chosen) {
            (Ok(launches), None) => {
                explanation.chosen = Some(artifact.variant);
                explanation.scratch_bytes = launches.scratch;
                continue;
            }
            (Ok(_), Some(chosen)) => format!("may run, but {chosen} stands before it in the table"),
            (Err(reason), _) => reason,
        };
        explanation.rejected.push(Rejected { variant: artifact.variant, reason });
    }
    Ok(explanation)
}

impl<O: WgpuOp> Explain<O> for Wgpu {
    /// With the limits of WebGPU's default, which every device has.
    fn explain(op: &O, _: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error> {
        explain(op, &Capabilities::default(), hint)
    }

    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        explain(op, self.capabilities(), hint)
    }
}

fn may_run<O: WgpuOp>(op: &O, artifact: &Artifact, device: &Capabilities) -> Result<(), String> {
    for name in artifact.needs {
        if wgpu::Features::from_name(name).is_none_or(|feature| !device.features.contains(feature)) {
            return Err(format!("needs the feature {name}, which the device was not opened with"));
        }
    }
    let (threads, most) = (artifact.size("THREADS"), device.limits.max_compute_invocations_per_workgroup);
    if threads > most {
        return Err(format!("workgroups have {threads} invocations, the device takes {most}"));
    }
    op.legal(artifact)
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
        assert!(reason(&OP, forced).contains("`nothing` was asked for"));
        let wide = EmbeddingSpec { vocab: 1 << 20, dim: 128, ..OP };
        assert!(reason(&wide, Hint::default()).contains("`table` takes 268435456 bytes"));
        let (x, weight, out) = (DType::F64, DType::F32, DType::F32);
        let oracle = RmsNormSpec { rows: 1, dim: 8, eps: 1e-5.into(), x, weight, out, residual: false };
        assert!(reason(&oracle, Hint::default()).contains("`x` is f64"));
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
    fn an_explanation_names_what_runs() {
        let info = DeviceInfo { name: "any".into(), arch: crate::backend::Arch::Wgsl, units: 1, shared_bytes: 16384 };
        let told = Wgpu::explain(&OP, &info, Hint::default()).unwrap();
        assert_eq!((told.chosen, told.rejected.len()), (Some("portable"), 0));
        let none = EmbeddingSpec { vocab: 0, ..OP };
        assert!(matches!(Wgpu::explain(&none, &info, Hint::default()), Err(Error::Spec(_))));
    }
}
