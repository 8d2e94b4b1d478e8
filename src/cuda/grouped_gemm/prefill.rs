//! The MXFP4 variants for many rows an expert on compute capability 9.0: a pass that gathers, the wgmma kernel, a pass that
//! combines.

use super::Params;
use crate::cuda::plan::Plan;
use crate::cuda::tensor_map::{Swizzle, TensorMap};
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::mxfp4::Tiled;
use crate::op::{GroupedGemmArgs, GroupedGemmSpec};
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
    unused: [u32; 13],
}

const _: () = assert!(size_of::<Sm90Params>() == 960);

/// Kernels of the variant, in the order of its entries.
const GATHER: usize = 0;
const MAIN: usize = 1;
const FINISH: usize = 2;
/// Rows of the smallest box, and how many sizes there are: params_sm90.cuh.
const SMALLEST: usize = 16;
const HEIGHTS: usize = 4;
/// Elements of K in a step, all but the steps in which the kernel counts shared memory.
const STEP_K: u32 = 64;
/// Rows and bytes of a tile of the prepacked layout.
const TILE_ROWS: u32 = 16;
const TILE_BYTES: u32 = 544;
/// Bytes of `TokenTiles` of token_tiles.cuh, and of the staging of a warpgroup in epilogue_sm90.cuh.
const TOKEN_TILES: u32 = 2 * 513 * 4;
const STAGING: u32 = 2 * 16 * 68 * 4;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Prefill<'a>(&'a Artifact);

impl<'a> Prefill<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        artifact.entries.contains(&c"grouped_gemm_prefill").then_some(Prefill(artifact))
    }

    /// The layout in front of `Stages` of prefill_sm90.cu.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, stages, .. } = *self.0;
        let step = 128 * block_m + TILE_BYTES * (block_n / TILE_ROWS);
        stages * (block_k / STEP_K * step + 16) + block_n / 64 * STAGING + TOKEN_TILES
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
        super::check_tiles(args)?;
        let p = Params::new(op, args, 1, scratch + gathered_bytes(op) as u64);
        let params = self.params(op, args, p, scratch)?;
        let units = device.units.max(1) as usize;
        if op.gather.is_some() {
            let blocks = op.rows.div_ceil(self.0.warps as usize).min(GATHER_BLOCKS * units);
            plan.record_with(GATHER, [blocks, 1, 1], 0, stream, &params)?;
        }
        plan.record(MAIN, [units, 1, 1], stream, &params)?;
        if op.combine.is_none() {
            return Ok(());
        }
        plan.record_with(FINISH, [super::finish_blocks(op, self.0, device), 1, 1], 0, stream, &p)
    }

    fn params(
        self,
        op: &GroupedGemmSpec,
        args: &GroupedGemmArgs<'_, Cuda>,
        p: Params,
        scratch: u64,
    ) -> Result<Sm90Params, Error> {
        let mut params = Sm90Params { p, ..Sm90Params::zeroed() };
        if op.rows == 0 || op.local.count == 0 {
            return Ok(params); // no tile reads a map
        }
        let (base, stride) = match op.gather {
            Some(_) => (scratch, op.k),
            None => (*args.a.mem(), args.a.info().row_stride),
        };
        params.gathered = scratch;
        params.in_place = (op.gather.is_some() || p.a_aligned != 0).into();
        if params.in_place == 0 {
            return Ok(params);
        }
        for (i, map) in params.a.iter_mut().enumerate() {
            let shape_of_box = [STEP_K, (SMALLEST << i) as u32];
            *map = TensorMap::new(base, DType::Bf16, [op.k, op.rows], [2 * stride], shape_of_box, Swizzle::Bytes128)?;
        }
        let (tile, row_tiles) = (TILE_BYTES as usize, op.n.div_ceil(TILE_ROWS as usize));
        let k_tiles = op.k.div_ceil(STEP_K as usize);
        params.w = TensorMap::new(
            *args.w.mem(),
            DType::U8,
            [tile / 4, k_tiles, row_tiles, op.local.count],
            [tile, tile * k_tiles, Tiled::bytes(op.n, op.k)],
            [TILE_BYTES / 4, self.0.block_k / STEP_K, self.0.block_n / TILE_ROWS, 1],
            Swizzle::None,
        )?;
        Ok(params)
    }
}

/// Most blocks a multiprocessor of the pass that gathers.
const GATHER_BLOCKS: usize = 4;

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
    use crate::op::{Epilogue, LocalExperts, Swiglu, WeightFormat};

    fn up(weights: WeightFormat) -> GroupedGemmSpec {
        let linear = GroupedGemmSpec::linear(4096, 5760, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        GroupedGemmSpec {
            experts: 32,
            local: LocalExperts { first: 0, count: 32 },
            weights,
            epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS),
            grouped: true,
            ..linear
        }
    }

    fn forced(op: &GroupedGemmSpec, sm: u16) -> Result<&'static str, Error> {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 132, shared_bytes: 232_448 };
        let hint = Hint { variant: Some("sm90_prefill_192"), ..Hint::default() };
        Ok(choose(op, &device, 80, hint)?.variant())
    }

    #[test]
    fn takes_prepacked_weights_on_its_own_architecture() {
        assert_eq!(forced(&up(WeightFormat::Mxfp4Tiled), 90).unwrap(), "sm90_prefill_192");
        let reason = |op: &GroupedGemmSpec, sm| forced(op, sm).unwrap_err().to_string();
        assert!(reason(&up(WeightFormat::Mxfp4Tiled), 100).contains("sm_90a alone"));
        assert!(reason(&up(WeightFormat::Mxfp4), 90).contains("prepacked"));
        assert!(reason(&GroupedGemmSpec { a: DType::F16, ..up(WeightFormat::Mxfp4Tiled) }, 90).contains("`a` is f16"));
        let halves = Epilogue::Swiglu(Swiglu::SILU);
        assert!(reason(&GroupedGemmSpec { epilogue: halves, ..up(WeightFormat::Mxfp4Tiled) }, 90).contains("halves"));
    }

    #[test]
    fn scratch_holds_the_gathered_rows_and_those_of_a_combine() {
        let op = up(WeightFormat::Mxfp4Tiled);
        assert_eq!(gathered_bytes(&op), 0);
        let gather = Some(crate::op::grouped_gemm::Gather { input_rows: 9, divide: 4 });
        assert_eq!(gathered_bytes(&GroupedGemmSpec { gather, rows: 3, k: 96, ..op }), 768);
    }
}
