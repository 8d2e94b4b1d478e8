//! Which variant runs: a pure function of the spec, the device and the hint, the same on every machine.

use super::device::Capabilities;
use super::plan::WgpuOp;
use crate::backend::Hint;
use crate::dtype::DType;
use crate::error::Error;
use dropless_kernels_wgsl::{ARTIFACTS, Artifact};

/// A variant that does not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Name of the variant.
    pub variant: &'static str,
    /// Which limit, in words.
    pub reason: String,
}

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
    let unsupported = |reason| Error::Unsupported { backend: "wgpu", op: O::NAME, reason };
    let operands = op.operands();
    if let Some(operand) = operands.iter().find(|o| o.dtype == DType::F64) {
        return Err(unsupported(format!("`{}` is f64, which only the cpu oracle takes", operand.name)));
    }
    for operand in operands.iter().filter(|o| !op.windowed(o.name)) {
        let bytes = operand.shape.len().saturating_mul(operand.dtype.bytes()) as u64;
        fits(operand.name, bytes, device).map_err(unsupported)?;
    }
    op.limits().map_err(unsupported)?;
    let mut rejected = Vec::new();
    for artifact in ARTIFACTS.iter().filter(|a| a.op == O::NAME) {
        let verdict = match hint.variant {
            Some(name) if name != artifact.variant => Err(format!("variant `{name}` was asked for")),
            Some(_) => may_run(op, artifact, device),
            None => may_run(op, artifact, device).and_then(|()| op.suits(artifact, hint)),
        };
        match verdict {
            Ok(()) => return Ok(Choice { artifact, rejected }),
            Err(reason) => rejected.push(Rejected { variant: artifact.variant, reason }),
        }
    }
    let lines: Vec<String> = rejected.iter().map(|r| format!("{}: {}", r.variant, r.reason)).collect();
    Err(unsupported(if lines.is_empty() { "no variant was written for it".into() } else { lines.join("\n") }))
}

fn may_run<O: WgpuOp>(op: &O, artifact: &Artifact, device: &Capabilities) -> Result<(), String> {
    for name in artifact.needs {
        match wgpu::Features::from_name(name) {
            Some(feature) if device.features.contains(feature) => {}
            _ => return Err(format!("needs the feature {name}, which the device was not opened with")),
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
    use crate::op::{EmbeddingSpec, RmsNormSpec};

    fn webgpu() -> Capabilities {
        Capabilities { features: wgpu::Features::empty(), limits: wgpu::Limits::default() }
    }

    fn reason(result: Result<Choice, Error>) -> String {
        match result {
            Err(Error::Unsupported { backend: "wgpu", reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_name_the_operand_or_every_variant() {
        let op = EmbeddingSpec { tokens: 5, vocab: 9, dim: 64, table: DType::F16, out: DType::F32 };
        assert_eq!(choose(&op, &webgpu(), Hint::default()).unwrap().variant(), "portable");
        let forced = Hint { variant: Some("nothing"), ..Hint::default() };
        assert!(reason(choose(&op, &webgpu(), forced)).contains("`nothing` was asked for"));
        let wide = EmbeddingSpec { vocab: 1 << 20, dim: 128, ..op };
        assert!(reason(choose(&wide, &webgpu(), Hint::default())).contains("`table` takes 268435456 bytes"));
        let (x, weight, out) = (DType::F64, DType::F32, DType::F32);
        let oracle = RmsNormSpec { rows: 1, dim: 8, eps: 1e-5.into(), x, weight, out, residual: false };
        assert!(reason(choose(&oracle, &webgpu(), Hint::default())).contains("`x` is f64"));
    }
}
