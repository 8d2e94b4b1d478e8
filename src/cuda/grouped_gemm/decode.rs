//! The MXFP4 variants for few rows an expert on compute capability 9.0: one kernel that gathers as it goes, and a pass that
//! combines.

use crate::backend::params::grouped_gemm::Params;
use crate::cuda::plan::Plan;
use crate::cuda::{Cuda, Stream};
use crate::error::Error;
use crate::op::{GroupedGemmArgs, GroupedGemmSpec};
use dropless_kernels_cuda::Artifact;

/// Kernels of the variant, in the order of its entries.
const MAIN: usize = 0;
const FINISH: usize = 1;
/// Warps that copy: `PRODUCERS` of decode_sm90.cu.
const PRODUCERS: u32 = 3;
/// Bytes of `TokenTiles` of token_tiles.cuh.
const TOKEN_TILES: u32 = 2 * 513 * 4;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Decode<'a>(&'a Artifact);

impl<'a> Decode<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        artifact.entries.contains(&c"grouped_gemm_decode").then_some(Decode(artifact))
    }

    /// The layout in front of `Stages` of decode_sm90.cu.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, stages, warps, .. } = *self.0;
        let (consumers, tiles) = (warps - PRODUCERS, block_n / 16);
        let parts = (consumers - tiles) * block_m * 16 * 4;
        stages * (block_k / 64) * (128 * block_m + 544 * tiles)
            + parts
            + 16 * (stages + tiles)
            + 4 * consumers
            + TOKEN_TILES
    }

    /// The rows in f32 that a combine adds up.
    pub(super) fn scratch_bytes(self, op: &GroupedGemmSpec) -> usize {
        if op.combine.is_some() { op.rows.saturating_mul(op.n_out()).saturating_mul(4) } else { 0 }
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
        let params = Params::new(op, args, 1, scratch);
        plan.record(MAIN, [device.units.max(1) as usize, 1, 1], stream, &params)?;
        if op.combine.is_none() {
            return Ok(());
        }
        plan.record_with(FINISH, [super::finish_blocks(op, self.0, device), 1, 1], 0, stream, &params)
    }
}
