//! Which variant runs: a pure function of the spec, the device and the hint, the same on every machine.

use super::Hip;
use super::plan::HipOp;
use super::rtc;
pub use crate::backend::Rejected;
use crate::backend::choose::{self, Judge, Variant};
use crate::backend::{Arch, Backend, DeviceInfo, Explain, Explanation, Hint};
use crate::error::Error;
use dropless_kernels_hip::{ARTIFACTS, Artifact, Object};

/// The chosen variant and those that stood before it in the table.
pub type Choice = crate::backend::Choice<Artifact>;

impl Variant for Artifact {
    fn name(&self) -> &'static str {
        self.variant
    }
}

/// Says whether a compiler is here.
type Compiler = fn() -> bool;

struct Target<'a> {
    device: &'a DeviceInfo,
    /// May sources be compiled for it? Asked where there is no object.
    compiles: Compiler,
}

impl<O: HipOp> Judge<O> for Target<'_> {
    const BACKEND: &'static str = Hip::NAME;
    const MADE: &'static str = "compiled";
    type Variant = Artifact;

    fn variants(&self) -> impl Iterator<Item = &'static Artifact> {
        ARTIFACTS.iter().filter(|a| a.ops.contains(&O::NAME))
    }

    fn limits(&self, op: &O) -> Result<(), String> {
        op.limits()
    }

    fn may_run(&self, op: &O, artifact: &'static Artifact) -> Result<(), String> {
        code(artifact, self.device, self.compiles)?;
        op.legal(artifact)?;
        let (need, have) = (op.shared_bytes(artifact), self.device.shared_bytes);
        if need > have {
            return Err(format!("a block takes {need} bytes of LDS, there are {have}"));
        }
        Ok(())
    }

    fn suits(&self, op: &O, artifact: &'static Artifact, _: Hint<'_>) -> Result<(), String> {
        op.suits(artifact)
    }

    fn scratch_bytes(&self, op: &O, artifact: &'static Artifact) -> Result<usize, String> {
        Ok(op.scratch_bytes(artifact, self.device))
    }
}

/// The first variant of the tile table that may run `op` on a device; with a forced variant, that one, if it is legal at all.
///
/// # Errors
/// [`Error::Unsupported`] with every variant and its reason, one a line.
pub fn choose<O: HipOp>(op: &O, device: &DeviceInfo, hint: Hint<'_>) -> Result<Choice, Error> {
    choose_here(op, device, || false, hint)
}

/// The same on a device that is here, where sources may be compiled too.
pub(super) fn choose_here<O: HipOp>(
    op: &O,
    device: &DeviceInfo,
    compiles: Compiler,
    hint: Hint<'_>,
) -> Result<Choice, Error> {
    choose::choose(&Target { device, compiles }, op, hint)
}

impl<O: HipOp> Explain<O> for Hip {
    fn explain(op: &O, device: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error> {
        choose::explain(&Target { device, compiles: || false }, op, hint)
    }

    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        choose::explain(&Target { device: self.device(), compiles: rtc::present }, op, hint)
    }
}

/// What a device loads for a variant.
#[derive(Clone, Copy)]
pub(super) enum Code {
    Object(&'static Object),
    /// To be compiled for the target of this name.
    Source(&'static str),
}

/// The code object of a variant for a device, or, where sources may be compiled, its source.
///
/// # Errors
/// There is none: which there are, what the device is, and what would help.
pub(super) fn code(artifact: &'static Artifact, device: &DeviceInfo, compiles: Compiler) -> Result<Code, String> {
    let Arch::Gfx(gfx) = device.arch else { return Err(format!("made for AMD, this is {:?}", device.arch)) };
    let name = format!("gfx{gfx:x}");
    if let Some(object) = artifact.objects.iter().find(|o| o.arch == name) {
        return Ok(Code::Object(object));
    }
    let made: Vec<&str> = artifact.objects.iter().map(|o| o.arch).collect();
    let made = format!("made for {}, this is {name}", made.join(", "));
    match artifact.source {
        Some(source) if compiles() => Ok(Code::Source(source)),
        Some(_) => Err(format!(
            "{made}; where hipRTC (libhiprtc.so of HIP 6 or later) is installed it is compiled for others too"
        )),
        None => Err(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{DType, Scalar};
    use crate::op::moe::SortSpec;
    use crate::op::{EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvIndex, KvStore, Lse, Mask, WeightFormat};

    const EMBEDDING: EmbeddingSpec = EmbeddingSpec { tokens: 5, vocab: 9, dim: 64, table: DType::F16, out: DType::F32 };

    fn device(gfx: u16) -> DeviceInfo {
        DeviceInfo { name: "test".into(), arch: Arch::Gfx(gfx), units: 304, shared_bytes: 64 << 10 }
    }

    #[test]
    fn every_target_has_the_small_ops() {
        for gfx in [0x90a, 0x942, 0x950, 0x1100, 0x1201] {
            assert_eq!(choose(&EMBEDDING, &device(gfx), Hint::default()).unwrap().variant(), "portable");
        }
        let sort = |tokens| SortSpec { tokens, experts: 32, top_k: 4 };
        assert_eq!(choose(&sort(1), &device(0x942), Hint::default()).unwrap().variant(), "one_block");
        assert_eq!(choose(&sort(4096), &device(0x942), Hint::default()).unwrap().variant(), "two_launches");
    }

    #[test]
    fn matrix_units_take_what_they_can() {
        let gemm = |a, w| GroupedGemmSpec::linear(4, 96, 64, a, w, None, DType::F32);
        let variant = |op, gfx| choose(&op, &device(gfx), Hint::default()).unwrap().variant();
        for gfx in [0x90a, 0x942, 0x950] {
            assert_eq!(variant(gemm(DType::Bf16, DType::Bf16), gfx), "mfma");
            assert_eq!(variant(GroupedGemmSpec { rows: 192, ..gemm(DType::Bf16, DType::Bf16) }, gfx), "mfma_prefill");
            assert_eq!(variant(gemm(DType::F16, DType::F16), gfx), "mfma");
            assert_eq!(variant(gemm(DType::F32, DType::Bf16), gfx), "fma");
            assert_eq!(variant(gemm(DType::Bf16, DType::F16), gfx), "fma");
        }
        for gfx in [0x1100, 0x1201] {
            assert_eq!(variant(gemm(DType::Bf16, DType::Bf16), gfx), "wmma");
            assert_eq!(variant(gemm(DType::F32, DType::Bf16), gfx), "fma");
        }
    }

    #[test]
    fn nobody_is_given_rounded_activations() {
        for rows in [1, 64, 8192] {
            let linear = GroupedGemmSpec::linear(rows, 96, 64, DType::Bf16, DType::Bf16, None, DType::Bf16);
            let op = GroupedGemmSpec { weights: WeightFormat::Mxfp4, ..linear };
            assert_ne!(choose(&op, &device(0x950), Hint::default()).unwrap().variant(), "mfma_f8");
            let asked = Hint { variant: Some("mfma_f8"), ..Hint::default() };
            assert_eq!(choose(&op, &device(0x950), asked).unwrap().variant(), "mfma_f8");
            assert!(choose(&op, &device(0x942), asked).is_err());
        }
    }

    #[test]
    fn matrix_units_take_attention_of_many_rows() {
        let attention = |max_q_len, head_dim| FlashAttnSpec {
            sequences: 2,
            q_tokens: 2 * max_q_len,
            max_q_len,
            max_k_len: 512,
            q_heads: 64,
            kv_heads: 8,
            head_dim,
            q: DType::Bf16,
            kv: DType::Bf16,
            kv_scales: false,
            out: DType::Bf16,
            sm_scale: Scalar(0.125),
            mask: Mask::Causal,
            sinks: Some(DType::Bf16),
            lse: Lse::None,
            store: KvStore::Packed { tokens: 1024 },
            index: KvIndex::CuSeqlens,
            splits: None,
        };
        let variant = |op, gfx| choose(&op, &device(gfx), Hint::default()).unwrap().variant();
        // Of one query there are eight rows, of a wave 16.
        for gfx in [0x90a, 0x942, 0x950] {
            assert_eq!([variant(attention(1, 64), gfx), variant(attention(4, 128), gfx)], ["mfma_decode"; 2]);
            assert_eq!([variant(attention(5, 64), gfx), variant(attention(300, 128), gfx)], ["mfma_prefill"; 2]);
            assert_eq!([variant(attention(1, 80), gfx), variant(attention(300, 80), gfx)], ["fma"; 2]);
        }
        assert_eq!([variant(attention(2, 64), 0x1201), variant(attention(300, 128), 0x1201)], ["wmma_prefill"; 2]);
        assert_eq!([variant(attention(1, 64), 0x1201), variant(attention(300, 80), 0x1201)], ["fma"; 2]);
    }

    #[test]
    fn a_target_without_an_object_is_refused_in_words() {
        let reason = |device: &DeviceInfo| match choose(&EMBEDDING, device, Hint::default()) {
            Err(Error::Unsupported { backend: "hip", reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        let old = reason(&device(0x906));
        assert!(old.contains("gfx942") && old.contains("this is gfx906") && old.contains("hipRTC"), "{old}");
        let compiled = choose_here(&EMBEDDING, &device(0x906), || true, Hint::default()).unwrap();
        assert_eq!(compiled.variant(), "portable");
        assert!(reason(&DeviceInfo { arch: Arch::Sm(90), ..device(0) }).contains("made for AMD"));
    }
}
