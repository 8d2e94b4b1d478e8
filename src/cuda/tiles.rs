//! The tile variants of the grouped GEMM on tensor cores: what they take and what they need.

mod cost;

use crate::dtype::DType;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Epilogue, GateUp, WeightFormat};
use dropless_kernels_cuda::Artifact;

/// Elements of K in a step: `STEP_K` of stage.cuh and step.cuh.
const STEP_K: u32 = 64;
/// Bytes of `Schedule` of schedule.cuh.
const SCHEDULE: u32 = 2 * 513 * 4;
/// Bytes of 16 weight rows by a step in the prepacked layout.
const TILE_BYTES: u32 = 544;

/// How a variant brings its operands together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// sm80.cu: both through one ring in shared memory.
    Tiles,
    /// dense_decode_sm80.cu: weights through a ring of each warp, rows of `a` whole in shared memory; warps split K.
    Stream,
    /// decode_sm80.cu: the same with prepacked weights, into registers.
    Decode,
    /// prefill_sm80.cu: prepacked weights into registers, rows of `a` through a ring.
    Prefill,
}

/// A tensor-core variant of compute capability 8.0 and later.
#[derive(Clone, Copy)]
pub(super) struct Tiles<'a> {
    artifact: &'a Artifact,
    kind: Kind,
}

impl<'a> Tiles<'a> {
    /// `None` for the variants without `cp.async`, and for those of one architecture alone.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        let kind = match artifact.entries.first()?.to_bytes() {
            name if name.starts_with(b"stream_") => Kind::Stream,
            name if name.starts_with(b"decode_") => Kind::Decode,
            name if name.starts_with(b"prefill_") => Kind::Prefill,
            _ => Kind::Tiles,
        };
        (artifact.stages > 0 && artifact.sm >= 80 && !artifact.exact).then_some(Tiles { artifact, kind })
    }

    /// # Errors
    /// What tensor cores do not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        if !matches!(op.a, DType::Bf16 | DType::F16) {
            return Err(format!("multiplies bf16 or f16, `a` is {}", op.a));
        }
        match op.weights {
            WeightFormat::Dense(of) if of != op.a => Err(format!("multiplies one type, `a` is {} and `w` {of}", op.a)),
            WeightFormat::Mxfp4Gguf => Err("does not take GGUF blocks: 17 bytes are aligned to nothing".into()),
            WeightFormat::Mxfp4Tiled if halves(op) => {
                Err("does not take prepacked weights with gate and up in halves: their tiles hold one of the two"
                    .into())
            }
            _ if self.entry(op).is_none() => Err(format!("has no kernel for {} and {:?} weights", op.a, op.weights)),
            _ => Ok(()),
        }
    }

    /// `Layout` of sm80.cu, the constants of prefill_sm80.cu, `Shared` of the others, and what follows them.
    pub(super) fn shared_bytes(self, op: &GroupedGemmSpec) -> u32 {
        let Artifact { warps, block_m, block_n, block_k, stages, .. } = *self.artifact;
        let weights = match op.weights {
            WeightFormat::Dense(_) => 128 * block_n,
            WeightFormat::Mxfp4 => (32 + 4) * block_n,
            _ => TILE_BYTES * block_n / 16,
        };
        if matches!(self.kind, Kind::Decode | Kind::Stream) {
            let ring = if self.kind == Kind::Stream { stages * weights } else { 0 };
            let pitch = if block_n == 32 { block_n } else { block_n + 4 };
            let parts = 4 * block_m * pitch * if self.kind == Kind::Decode { 2 } else { 1 };
            let own = warps * (ring + parts) + SCHEDULE;
            let row = u32::try_from(op.k.div_ceil(STEP_K as usize)).unwrap_or(u32::MAX).saturating_mul(2 * STEP_K);
            let rows = block_m.min(u32::try_from(op.rows).unwrap_or(u32::MAX));
            return row.saturating_add(64).saturating_mul(rows).saturating_add(own.next_multiple_of(16));
        }
        let step = 128 * block_m + if self.kind == Kind::Prefill { 0 } else { weights };
        let (staged, tile) = (stages * block_k / STEP_K * step, 4 * block_m * (block_n + 4));
        staged.max(tile) + 8 * block_m + 4 * block_n + SCHEDULE
    }

    /// Index of the kernel among the variant's entries, which are named after their types.
    fn entry(self, op: &GroupedGemmSpec) -> Option<usize> {
        let format = match op.weights {
            WeightFormat::Dense(_) => "dense",
            WeightFormat::Mxfp4 => "mxfp4",
            WeightFormat::Mxfp4Gguf => "gguf",
            WeightFormat::Mxfp4Tiled => "tiled",
        };
        let name = format!("_{}_{format}", op.a);
        self.artifact.entries.iter().position(|entry| entry.to_bytes().ends_with(name.as_bytes()))
    }

    /// The same where the variant may run.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        self.entry(op).unwrap_or(0)
    }
}

/// Are gate and up in halves of the weights?
fn halves(op: &GroupedGemmSpec) -> bool {
    matches!(op.epilogue, Epilogue::Swiglu(s) if s.layout == GateUp::Halves)
}

#[cfg(test)]
mod tests {
    use super::super::choose::choose;
    use super::*;
    use crate::backend::{Arch, DeviceInfo, Hint};
    use crate::op::{LocalExperts, Swiglu};

    fn device(sm: u16, units: u32, shared_bytes: u32) -> DeviceInfo {
        DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units, shared_bytes }
    }

    fn h200() -> DeviceInfo {
        device(90, 132, 232_448)
    }

    /// As large, and without the variants that are made for 9.0.
    fn later() -> DeviceInfo {
        device(100, 132, 232_448)
    }

    /// The first matrix of a gpt-oss-20b block with four experts a token.
    fn up(tokens: usize) -> GroupedGemmSpec {
        let linear = GroupedGemmSpec::linear(tokens * 4, 5760, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        GroupedGemmSpec {
            experts: 32,
            local: LocalExperts { first: 0, count: 32 },
            weights: WeightFormat::Mxfp4,
            epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS),
            grouped: true,
            ..linear
        }
    }

    fn variant(op: &GroupedGemmSpec, device: &DeviceInfo, rows: Option<usize>) -> &'static str {
        choose(op, device, 80, Hint { rows, variant: None }).unwrap().variant()
    }

    #[test]
    fn tiles_grow_with_the_rows_an_expert_has() {
        let names = [1, 64, 256, 512, 1024, 8192].map(|tokens| variant(&up(tokens), &h200(), None));
        let (one, small, middle, large) = ("sm80_16x64", "sm80_16x128", "sm80_64x128", "sm80_128x128");
        assert_eq!(names, [one, small, small, middle, large, large]);
        assert_eq!(variant(&up(8192), &h200(), Some(4)), one, "the hint says what is typical");
    }

    #[test]
    fn variants_for_some_types_take_those_where_they_are_forced() {
        let forced =
            |op: &GroupedGemmSpec, name| choose(op, &later(), 80, Hint { rows: None, variant: Some(name) }).is_ok();
        let prepacked = GroupedGemmSpec { weights: WeightFormat::Mxfp4Tiled, ..up(64) };
        let query = GroupedGemmSpec::linear(16, 5120, 2880, DType::F16, DType::F16, None, DType::F16);
        for name in ["sm80_decode", "sm80_prefill_64"] {
            assert!(forced(&prepacked, name), "{name}");
            assert!(
                !forced(&GroupedGemmSpec { a: DType::F16, ..prepacked }, name),
                "{name}: f16 does not hold the scales"
            );
            assert!(!forced(&up(64), name), "{name}: prepacked weights only");
        }
        assert!(forced(&query, "sm80_decode_dense"));
        assert!(!forced(&GroupedGemmSpec { k: 1 << 20, ..query }, "sm80_decode_dense"), "all of K of a row must fit");
    }

    #[test]
    fn prepacked_weights_are_streamed_for_few_rows_and_decoded_once_for_many() {
        let prepacked = |tokens| GroupedGemmSpec { weights: WeightFormat::Mxfp4Tiled, ..up(tokens) };
        let a100 = device(80, 108, 166_912);
        for device in [later(), a100.clone()] {
            let names = [1, 4, 16, 64, 256, 1024, 8192].map(|tokens| variant(&prepacked(tokens), &device, None));
            let (few, many) = ("sm80_decode", "sm80_prefill_64");
            assert_eq!(names, [few, few, few, few, many, many, many], "{}", device.units);
        }
        // 16 rows beside their sums are more than a block has there.
        let ada = device(89, 128, 101_376);
        assert_eq!(
            [1, 64, 1024].map(|tokens| variant(&prepacked(tokens), &ada, None)),
            ["sm80_decode", "sm80_decode_8", "sm80_prefill_64"]
        );
        let query = |rows, n| GroupedGemmSpec::linear(rows, n, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        assert_eq!([5120, 2880].map(|n| variant(&query(4, n), &a100, None)), ["sm80_decode_dense"; 2]);
        assert_ne!(variant(&query(16, 5120), &a100, None), "sm80_decode_dense", "16 rows do not fit beside the rings");
    }

    #[test]
    fn what_these_do_not_take_runs_on_the_others() {
        let halves = Epilogue::Swiglu(Swiglu::SILU);
        for op in [
            GroupedGemmSpec { weights: WeightFormat::Mxfp4Gguf, ..up(64) },
            GroupedGemmSpec { weights: WeightFormat::Dense(DType::F16), ..up(64) },
        ] {
            assert_eq!(variant(&op, &h200(), None), "sm75_16x64", "{op:?}");
        }
        for op in [
            GroupedGemmSpec { a: DType::F32, ..up(64) },
            GroupedGemmSpec { weights: WeightFormat::Mxfp4Tiled, epilogue: halves, ..up(64) },
        ] {
            assert_eq!(variant(&op, &h200(), None), "simt", "{op:?}");
        }
        let turing = device(75, 40, 65_536);
        assert_eq!(variant(&up(64), &turing, None), "sm75_16x64");
        assert_eq!(variant(&up(8192), &turing, None), "sm75_128x64");
    }

    #[test]
    fn tiles_fit_the_shared_memory() {
        let dense = GroupedGemmSpec { weights: WeightFormat::Dense(DType::Bf16), ..up(8192) };
        assert_eq!(variant(&dense, &device(80, 108, 166_912), None), "sm80_128x128");
        assert_eq!(variant(&dense, &device(86, 84, 101_376), None), "sm80_64x128");
    }

    #[test]
    fn k_is_split_where_there_are_few_tiles() {
        let tiles = Tiles::of(choose(&up(1), &h200(), 80, Hint::default()).unwrap().artifact).unwrap();
        assert_eq!(tiles.splits(&up(1), &h200()), 1);
        let query = GroupedGemmSpec::linear(1, 5120, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        assert_eq!(tiles.splits(&query, &h200()), 3);
        let short = GroupedGemmSpec { k: 64, ..query };
        assert_eq!(tiles.splits(&short, &h200()), 1);
        let none = GroupedGemmSpec { rows: 0, ..query };
        assert!(tiles.blocks(&none, &h200()) >= 1);
    }
}
