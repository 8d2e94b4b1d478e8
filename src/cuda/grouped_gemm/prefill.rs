//! The wgmma variants of compute capability 9.0, for many rows an expert: a pass that gathers, the kernel, a pass that combines.
//! Weights are prepacked MXFP4 or dense.

mod maps;
mod suits;

use crate::backend::params::grouped_gemm::Params;
use crate::cuda::plan::Plan;
use crate::cuda::tensor_map::TensorMap;
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{Epilogue, GateUp, GroupedGemmArgs, GroupedGemmSpec, WeightFormat};
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `Sm90Params` in grouped_gemm/params_sm90.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Sm90Params {
    a: [TensorMap; HEIGHTS],
    w: TensorMap,
    p: Params,
    gathered: u64,
    in_place: u32,
    whole_steps: u32,
    unused: [u32; 12],
}

const _: () = assert!(size_of::<Sm90Params>() == 1984);

/// Mirrors `StagedParams` there.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct StagedParams {
    s: Sm90Params,
    d: TensorMap,
}

const _: () = assert!(size_of::<StagedParams>() == 2112);

/// The entry that gathers; the one that combines is the last.
const GATHER: usize = 0;
/// Boxes of rows are multiples of these many, and how many there may be: params_sm90.cuh.
const GRANULE: u32 = 16;
const HEIGHTS: usize = 12;
/// Elements of K in a step, all but the steps in which the kernel counts shared memory.
const STEP_K: u32 = 64;
/// Rows and bytes of a tile of the prepacked layout.
const TILE_ROWS: u32 = 16;
const TILE_BYTES: u32 = 544;
/// Bytes of `TokenTiles` of token_tiles.cuh, and of the staging of a warp, which has 16 weight rows, in epilogue_sm90.cuh.
const TOKEN_TILES: u32 = 2 * 513 * 4;
const STAGING: u32 = 32 * 12 * 4;
/// Weight rows of a warpgroup, and shared memory of a block on compute capability 9.0.
const GROUP_ROWS: u32 = 64;
const MOST_SHARED: u32 = 232_448;
/// Threads of the pass that gathers have this many pieces of a row under way.
const GATHER_PIECES: usize = 4;
/// Most blocks a multiprocessor of the pass that gathers.
const GATHER_BLOCKS: usize = 4;
/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Prefill<'a> {
    artifact: &'a Artifact,
    dense: bool,
    /// Results leave through the copy engine.
    staged: bool,
}

impl<'a> Prefill<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        let has = |entry| artifact.entries.contains(&entry);
        let staged = has(c"grouped_gemm_prefill_staged") || has(c"grouped_gemm_dense_staged_bf16");
        let dense = has(c"grouped_gemm_dense_bf16") || has(c"grouped_gemm_dense_staged_bf16");
        (dense || staged || has(c"grouped_gemm_prefill")).then_some(Prefill { artifact, dense, staged })
    }

    /// # Errors
    /// What the kernels do not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        if self.dense {
            dense(op)?;
        } else {
            super::prepacked_bf16(op)?;
        }
        if !op.n_out().is_multiple_of(8) {
            return Err(format!("stores eight columns at a time, there are {}", op.n_out()));
        }
        if op.combine.is_none() && op.d != DType::F32 && op.d != op.a {
            return Err(format!("stores f32 or the type of `a`, `d` is {}", op.d));
        }
        Ok(())
    }

    /// Which kernel multiplies.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        let gated = matches!(op.epilogue, Epilogue::Swiglu(_));
        GATHER + 1 + usize::from(gated) + if op.a == DType::F16 { 2 } else { 0 }
    }

    /// The layout in front of `Stages` of pipeline_sm90.cuh.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, stages, .. } = *self.artifact;
        let weights = if self.dense { 128 * block_n } else { TILE_BYTES * (block_n / TILE_ROWS) };
        let rest = stages * (block_k / STEP_K * (128 * block_m + weights) + 16) + TOKEN_TILES;
        if !self.staged {
            return rest + block_n / TILE_ROWS * STAGING;
        }
        // As many parts of results as fit: `PARTS` of pipeline_sm90.cuh.
        let parts = block_n / GROUP_ROWS * 32 * block_m;
        rest + MOST_SHARED.saturating_sub(rest) / parts * parts
    }

    /// The gathered rows, then the rows in f32 that a combine adds up.
    pub(super) fn scratch_bytes(self, op: &GroupedGemmSpec) -> usize {
        let rows = if op.combine.is_some() { op.rows.saturating_mul(op.n_out()).saturating_mul(4) } else { 0 };
        gathered_bytes(op).saturating_add(rows)
    }

    pub(super) fn launch(
        self,
        plan: &Plan<GroupedGemmSpec>,
        args: &GroupedGemmArgs<'_, Cuda>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, device) = (&plan.op, plan.info());
        if !self.dense {
            super::check_tiles(args)?;
        }
        let p = Params::new(op, args, 1, scratch + gathered_bytes(op) as u64);
        let params = self.params(op, args, p, scratch)?;
        let units = device.units.max(1) as usize;
        if op.gather.is_some() {
            let parts = op.rows.saturating_mul(op.k.div_ceil(32 * 8 * GATHER_PIECES));
            let blocks = parts.div_ceil(self.artifact.warps as usize).min(GATHER_BLOCKS * units);
            plan.record_with(GATHER, [blocks, 1, 1], 0, stream, &params)?;
        }
        let main = self.kernel(op);
        if self.staged {
            let mut staged = StagedParams { s: params, d: TensorMap::zeroed() };
            if params.in_place != 0 {
                staged.d = match op.combine {
                    Some(_) => self.results(op, scratch + gathered_bytes(op) as u64, op.n_out(), DType::F32)?,
                    None => self.results(op, *args.d.mem(), args.d.info().row_stride, op.d)?,
                };
            }
            plan.record(main, [units, 1, 1], stream, &staged)?;
        } else {
            plan.record(main, [units, 1, 1], stream, &params)?;
        }
        if op.combine.is_none() {
            return Ok(());
        }
        let finish = self.artifact.entries.len() - 1;
        plan.record_with(finish, [super::finish_blocks(op, self.artifact, device), 1, 1], 0, stream, &p)
    }
}

/// # Errors
/// What the kernels for dense weights do not take, in words.
pub(super) fn dense(op: &GroupedGemmSpec) -> Result<(), String> {
    match op.weights {
        WeightFormat::Dense(of) if of == op.a && matches!(of, DType::Bf16 | DType::F16) => {}
        _ => return Err("multiplies bf16 or f16 rows by dense weights of the same type".into()),
    }
    if !op.k.is_multiple_of(8) {
        return Err(format!("copies eight elements of a row at a time, there are {}", op.k));
    }
    match op.epilogue {
        Epilogue::Swiglu(s) if s.layout == GateUp::Halves => Err("wants gate and up side by side".into()),
        _ => Ok(()),
    }
}

/// Bytes of the gathered rows, a multiple of 256.
fn gathered_bytes(op: &GroupedGemmSpec) -> usize {
    match op.gather {
        Some(_) => op.rows.saturating_mul(2 * op.k).next_multiple_of(256),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Arch, DeviceInfo, Hint};
    use crate::cuda::choose::choose;
    use crate::op::{LocalExperts, Swiglu};

    fn up(rows: usize, weights: WeightFormat) -> GroupedGemmSpec {
        let linear = GroupedGemmSpec::linear(rows, 5760, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        GroupedGemmSpec {
            experts: 32,
            local: LocalExperts { first: 0, count: 32 },
            weights,
            epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS),
            grouped: true,
            ..linear
        }
    }

    fn chosen(op: &GroupedGemmSpec, sm: u16, variant: Option<&str>) -> Result<&'static str, Error> {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 132, shared_bytes: 232_448 };
        Ok(choose(op, &device, 80, Hint { variant, rows: None })?.variant())
    }

    #[test]
    fn takes_what_it_is_made_for_on_its_own_architecture() {
        let (tiled, bf16) = (WeightFormat::Mxfp4Tiled, WeightFormat::Dense(DType::Bf16));
        let (prefill, dense) = (Some("sm90_prefill_192"), Some("sm90_dense_192"));
        assert_eq!(chosen(&up(9, tiled), 90, prefill).unwrap(), "sm90_prefill_192");
        assert_eq!(chosen(&up(9, bf16), 90, dense).unwrap(), "sm90_dense_192");
        let reason = |op: &GroupedGemmSpec, sm, variant| chosen(op, sm, variant).unwrap_err().to_string();
        assert!(reason(&up(9, tiled), 100, prefill).contains("sm_90a alone"));
        assert!(reason(&up(9, bf16), 90, prefill).contains("prepacked"));
        assert!(reason(&up(9, tiled), 90, dense).contains("dense"));
        assert!(reason(&GroupedGemmSpec { a: DType::F16, ..up(9, tiled) }, 90, prefill).contains("`a` is f16"));
        assert!(reason(&GroupedGemmSpec { d: DType::F16, ..up(9, tiled) }, 90, prefill).contains("`d` is f16"));
        assert!(reason(&GroupedGemmSpec { n: 24, ..up(9, bf16) }, 90, dense).contains("there are 12"));
        assert!(reason(&GroupedGemmSpec { k: 36, ..up(9, bf16) }, 90, dense).contains("there are 36"));
        let halves = Epilogue::Swiglu(Swiglu::SILU);
        assert!(reason(&GroupedGemmSpec { epilogue: halves, ..up(9, tiled) }, 90, prefill).contains("halves"));
    }

    #[test]
    fn tiles_grow_with_the_rows_an_expert_has() {
        let names =
            [1, 64, 256, 512, 1024, 8192].map(|tokens| chosen(&up(tokens * 4, WeightFormat::Mxfp4Tiled), 90, None));
        let (few, large) = ("sm90_stream_16", "sm90_prefill_192");
        let wanted = [few, few, "sm90_prefill_48", "sm90_prefill_96", large, large];
        assert_eq!(names.map(Result::unwrap), wanted);
    }

    #[test]
    fn dense_weights_want_enough_rows_and_tiles() {
        let grouped = |tokens: usize| chosen(&up(tokens * 4, WeightFormat::Dense(DType::Bf16)), 90, None).unwrap();
        assert_eq!([64, 256, 1024].map(grouped), ["sm90_dense_48", "sm90_dense_48", "sm90_dense_192"]);
        assert!(!grouped(4).starts_with("sm90"));
        let linear = |rows, n| {
            let op = GroupedGemmSpec::linear(rows, n, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
            chosen(&op, 90, None).unwrap()
        };
        assert_eq!(linear(64, 201_088), "sm90_dense_48");
        assert_eq!([1024, 2048, 4096].map(|rows| linear(rows, 5120)), ["sm90_dense_192x128"; 3]);
        assert_eq!([linear(1024, 2880), linear(8192, 5120)], ["sm90_dense_192"; 2], "fewer rounds of larger tiles");
        assert!(!linear(64, 32).contains("dense"), "a router has too few tiles");
    }

    #[test]
    fn scratch_holds_the_gathered_rows() {
        let op = up(3, WeightFormat::Mxfp4Tiled);
        assert_eq!(gathered_bytes(&op), 0);
        let gather = Some(crate::op::grouped_gemm::Gather { input_rows: 9, divide: 4 });
        assert_eq!(gathered_bytes(&GroupedGemmSpec { gather, k: 96, ..op }), 768);
    }
}
