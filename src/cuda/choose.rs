//! Which variant runs: a pure function of the spec, the device and the hint, the same on every machine.

use super::{Cuda, plan::CudaOp};
pub use crate::backend::Rejected;
use crate::backend::choose::{self, Judge, Variant};
use crate::backend::{Arch, Backend, Class, DeviceInfo, Explain, Explanation, Hint, Tuned};
use crate::error::Error;
use dropless_kernels_cuda::{ARTIFACTS, Artifact};

/// The chosen variant and those that stood before it in the table.
pub type Choice = crate::backend::Choice<Artifact>;

impl Variant for Artifact {
    fn name(&self) -> &'static str {
        self.variant
    }
}

/// A device, the PTX version that its driver understands, times ten, and what was measured on it.
pub(super) struct Target<'a> {
    device: &'a DeviceInfo,
    ptx_version: u16,
    tuned: Option<&'a Tuned>,
}

impl<O: CudaOp> Judge<O> for Target<'_> {
    const BACKEND: &'static str = Cuda::NAME;
    const MADE: &'static str = "compiled";
    type Variant = Artifact;

    fn variants(&self) -> impl Iterator<Item = &'static Artifact> {
        ARTIFACTS.iter().filter(|a| a.ops.contains(&O::NAME))
    }

    fn limits(&self, op: &O) -> Result<(), String> {
        op.limits()
    }

    fn may_run(&self, op: &O, artifact: &'static Artifact) -> Result<(), String> {
        runs_on(artifact, self.device, self.ptx_version)?;
        op.legal(artifact)?;
        fits(op, artifact, self.device)
    }

    fn suits(&self, op: &O, artifact: &'static Artifact, hint: Hint<'_>) -> Result<(), String> {
        op.suits(artifact, self.device, hint)
    }

    fn tuned(&self) -> Option<&Tuned> {
        self.tuned
    }

    fn class(&self, op: &O, hint: Hint<'_>) -> Option<Class> {
        op.class(hint)
    }

    fn scratch_bytes(&self, op: &O, artifact: &'static Artifact) -> Result<usize, String> {
        Ok(op.scratch_bytes(artifact, self.device))
    }
}

impl Cuda {
    /// This device, its driver and its measurements.
    pub(super) fn target(&self) -> Target<'_> {
        Target { device: self.device(), ptx_version: self.device.ptx_version(), tuned: self.tuned() }
    }
}

/// The first variant of the tile table that suits `op`, without measurements, and may run it on `device`, whose driver understands
/// PTX `ptx_version` (times ten); with a forced variant, that one, if it is legal at all.
///
/// # Errors
/// [`Error::Unsupported`] with every variant and its reason, one a line.
pub fn choose<O: CudaOp>(op: &O, device: &DeviceInfo, ptx_version: u16, hint: Hint<'_>) -> Result<Choice, Error> {
    choose::choose(&Target { device, ptx_version, tuned: None }, op, hint)
}

impl<O: CudaOp> Explain<O> for Cuda {
    fn explain(op: &O, device: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error> {
        explain_tuned(op, device, super::tuned::of(device), hint)
    }

    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        choose::explain(&self.target(), op, hint)
    }
}

/// With these measurements and the newest driver.
pub(super) fn explain_tuned<O: CudaOp>(
    op: &O,
    device: &DeviceInfo,
    tuned: Option<&Tuned>,
    hint: Hint<'_>,
) -> Result<Explanation, Error> {
    choose::explain(&Target { device, ptx_version: u16::MAX, tuned }, op, hint)
}

/// Is there the shared memory that the variant's blocks take?
///
/// # Errors
/// Both amounts, in words.
pub(super) fn fits<O: CudaOp>(op: &O, artifact: &Artifact, device: &DeviceInfo) -> Result<(), String> {
    let (need, have) = (op.shared_bytes(artifact), device.shared_bytes);
    if need > have {
        return Err(format!("a block takes {need} bytes of shared memory, there are {have}"));
    }
    Ok(())
}

fn runs_on(artifact: &Artifact, device: &DeviceInfo, ptx_version: u16) -> Result<(), String> {
    let Arch::Sm(sm) = device.arch else { return Err(format!("made for NVIDIA, this is {:?}", device.arch)) };
    if artifact.exact && sm != artifact.sm {
        return Err(format!("made for sm_{}a alone, this is sm_{sm}", artifact.sm));
    }
    if sm < artifact.sm {
        return Err(format!("needs sm_{} or later, this is sm_{sm}", artifact.sm));
    }
    if ptx_version < artifact.ptx_version {
        let of = |v: u16| format!("{}.{}", v / 10, v % 10);
        let (need, have) = (of(artifact.ptx_version), of(ptx_version));
        return Err(format!("is PTX {need}, the driver understands up to {have}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::moe::{DispatchSpec, RouteSpec, Score, SortSpec};
    use crate::op::{EmbeddingSpec, RmsNormSpec};

    const PTX: u16 = 80;

    fn device(sm: u16) -> DeviceInfo {
        DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 100, shared_bytes: 64 << 10 }
    }

    fn dispatch(tokens: usize) -> DispatchSpec {
        let (logits, weight, score) = (DType::Bf16, DType::F32, Score::SoftmaxAfterTopK);
        DispatchSpec { route: RouteSpec { tokens, experts: 128, top_k: 4, logits, weight, score } }
    }

    fn forced(variant: &str) -> Hint<'_> {
        Hint { variant: Some(variant), ..Hint::default() }
    }

    #[test]
    fn every_generation_has_the_small_ops() {
        let embedding = EmbeddingSpec { tokens: 5, vocab: 9, dim: 64, table: DType::F16, out: DType::F32 };
        for sm in [75, 80, 86, 89, 90, 100, 120] {
            assert_eq!(choose(&embedding, &device(sm), PTX, Hint::default()).unwrap().variant(), "sm75");
            let one_block = match sm {
                75 => "two_launches",
                80..90 => "one_block",
                _ => "sm90_one_block",
            };
            assert_eq!(choose(&dispatch(1), &device(sm), PTX, Hint::default()).unwrap().variant(), one_block);
        }
    }

    #[test]
    fn dispatch_takes_one_launch_for_few_tokens_and_two_for_many() {
        let choice = choose(&dispatch(8192), &device(90), PTX, Hint::default()).unwrap();
        assert_eq!(choice.variant(), "sm90_two_launches");
        let of_8192 = choice.rejected.iter().filter(|r| r.reason.contains("8192")).count();
        assert_eq!(of_8192, 3, "{:?}", choice.rejected);
        assert_eq!(choose(&dispatch(256), &device(90), PTX, Hint::default()).unwrap().variant(), "cluster");
        assert_eq!(choose(&dispatch(256), &device(89), PTX, Hint::default()).unwrap().variant(), "two_launches");
        let sort = SortSpec { tokens: 8192, experts: 128, top_k: 4 };
        assert_eq!(choose(&sort, &device(90), PTX, forced("one_block")).unwrap().variant(), "one_block");
    }

    #[test]
    fn an_explanation_names_every_variant_once() {
        let compiled = ARTIFACTS.iter().filter(|a| a.ops.contains(&"moe_dispatch")).count();
        for (tokens, hint) in [(1, Hint::default()), (8192, Hint::default()), (8192, forced("one_block"))] {
            let told = Cuda::explain(&dispatch(tokens), &device(90), hint).unwrap();
            let chosen = choose(&dispatch(tokens), &device(90), PTX, hint).unwrap();
            assert_eq!(told.chosen, Some(chosen.variant()));
            assert_eq!(told.rejected.len() + 1, compiled);
            assert!(told.rejected.iter().all(|r| r.variant != chosen.variant() && r.reason.contains(' ')), "{told:?}");
        }
        let old = Cuda::explain(&dispatch(1), &device(70), Hint::default()).unwrap();
        assert_eq!((old.chosen, old.rejected.len()), (None, compiled));
        let none = DispatchSpec { route: RouteSpec { experts: 0, ..dispatch(1).route } };
        assert!(matches!(Cuda::explain(&none, &device(90), Hint::default()), Err(Error::Spec(_))));
    }

    #[test]
    fn refusals_name_every_variant_and_its_reason() {
        let reason = |result: Result<Choice, Error>| match result {
            Err(Error::Unsupported { backend: "cuda", reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        let old = reason(choose(&dispatch(1), &device(70), PTX, Hint::default()));
        assert_eq!(old.lines().count(), 5, "{old}");
        assert!(old.lines().all(|l| l.contains("needs sm_") && l.contains("sm_70")), "{old}");
        assert!(reason(choose(&dispatch(1), &device(90), 0, Hint::default())).contains("PTX 8.0"));
        let nothing = reason(choose(&dispatch(1), &device(90), PTX, forced("nothing")));
        assert!(nothing.contains("no variant `nothing`; there are ") && nothing.contains("two_launches"), "{nothing}");
        let cluster = reason(choose(&dispatch(1), &device(80), PTX, forced("cluster")));
        assert!(cluster.starts_with("cluster: needs sm_90") && cluster.lines().count() == 1, "{cluster}");
        let amd = DeviceInfo { arch: Arch::Gfx(0x942), ..device(0) };
        assert!(reason(choose(&dispatch(1), &amd, PTX, Hint::default())).contains("NVIDIA"));
        let (x, weight, out) = (DType::F64, DType::F32, DType::F32);
        let oracle = RmsNormSpec { rows: 1, dim: 8, eps: 1e-5.into(), x, weight, out, residual: false };
        assert!(reason(choose(&oracle, &device(90), PTX, Hint::default())).contains("`x` is f64"));
    }
}
