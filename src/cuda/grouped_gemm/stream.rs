//! The MXFP4 variants for the fewest rows an expert on compute capability 9.0: every warp streams its own weights; one kernel
//! that gathers as it goes, and a pass that combines.

use super::Params;
use crate::cuda::plan::Plan;
use crate::cuda::{Cuda, Stream};
use crate::error::Error;
use crate::op::{GroupedGemmArgs, GroupedGemmSpec};
use dropless_kernels_cuda::Artifact;

/// Kernels of the variant, in the order of its entries.
const MAIN: usize = 0;
const FINISH: usize = 1;
/// Bytes of `Shares` and of a `Place` of shares.cuh.
const SHARES: u32 = 3 * 513 * 4 + 2 * PLACE;
const PLACE: u32 = 12;
/// `TILE_ROWS`, `TILE_K` and `TILE_BYTES` of include/mxfp4.cuh, `WIDE_COST` of shares.cuh.
const TILE_ROWS: u32 = 16;
const TILE_K: u32 = 64;
const TILE_BYTES: u32 = 544;
const WIDE_COST: usize = 13;
/// Most shared memory that a block of compute capability 9.0 may have; of it `grouped_finish`, to which the same limit is given,
/// declares 1 KB itself.
const MOST_SHARED: u32 = 227 << 10;
const MOST_DYNAMIC: u32 = MOST_SHARED - 1024;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Streamed<'a>(&'a Artifact);

impl<'a> Streamed<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        artifact.entries.contains(&c"grouped_gemm_stream").then_some(Streamed(artifact))
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        super::prepacked_bf16(op)?;
        let shared = self.shared_bytes(op);
        if shared > MOST_DYNAMIC {
            return Err(format!("a block takes {shared} bytes of shared memory, {MOST_DYNAMIC} are left for it"));
        }
        let slots = op.rows / self.0.block_m.max(1) as usize + op.experts;
        let tiles = op.n.div_ceil(TILE_ROWS as usize);
        match slots.checked_mul(tiles).and_then(|all| all.checked_mul(WIDE_COST)) {
            Some(cost) if u32::try_from(cost).is_ok() => Ok(()),
            _ => Err(format!("counts its tiles in 32 bits, {} rows by {} weight rows have more", op.rows, op.n)),
        }
    }

    /// The layout in stream_sm90.cu, then rows of `a`: those of two slots, if they fit.
    pub(super) fn shared_bytes(self, op: &GroupedGemmSpec) -> u32 {
        let Artifact { block_m, block_k, stages, warps, .. } = *self.0;
        let ring = stages * (block_k / TILE_K * TILE_BYTES + 8);
        let fixed = warps * (ring + block_m * TILE_ROWS * 4 + 4 + 2 * PLACE) + 8 + SHARES;
        let fixed = fixed.next_multiple_of(128);
        let row = u32::try_from(op.k).unwrap_or(u32::MAX / 4).div_ceil(TILE_K).saturating_mul(128).saturating_add(16);
        let slot = u32::try_from(op.rows).unwrap_or(u32::MAX).clamp(1, block_m);
        let rows = (MOST_DYNAMIC.saturating_sub(fixed) / row).clamp(slot, 2 * slot);
        fixed.saturating_add(rows.saturating_mul(row))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Arch, DeviceInfo, Hint};
    use crate::cuda::choose::choose;
    use crate::dtype::DType;
    use crate::op::WeightFormat;

    const VARIANT: &str = "sm90_stream_16";

    fn spec(rows: usize, n: usize, k: usize) -> GroupedGemmSpec {
        let linear = GroupedGemmSpec::linear(rows, n, k, DType::Bf16, DType::Bf16, None, DType::Bf16);
        GroupedGemmSpec { weights: WeightFormat::Mxfp4Tiled, ..linear }
    }

    fn forced(op: &GroupedGemmSpec, sm: u16) -> Result<&'static str, String> {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 132, shared_bytes: MOST_SHARED };
        let hint = Hint { variant: Some(VARIANT), rows: None };
        choose(op, &device, 80, hint).map(|c| c.variant()).map_err(|e| e.to_string())
    }

    #[test]
    fn takes_rows_that_fit_beside_the_ring() {
        assert_eq!(forced(&spec(16, 5760, 2880), 90), Ok(VARIANT));
        assert_eq!(forced(&spec(1, 40, 32_768), 90), Ok(VARIANT));
        assert!(forced(&spec(16, 5760, 8192), 90).unwrap_err().contains("bytes of shared memory"));
        assert!(forced(&spec(16, 5760, 2880), 100).unwrap_err().contains("sm_90a alone"));
        assert!(forced(&spec(1 << 30, 5760, 2880), 90).unwrap_err().contains("32 bits"));
        let half = GroupedGemmSpec { a: DType::F16, ..spec(1, 64, 64) };
        assert!(forced(&half, 90).unwrap_err().contains("`a` is f16"));
    }

    #[test]
    fn there_is_room_for_the_rows_of_two_slots_if_they_fit() {
        let artifact = dropless_kernels_cuda::ARTIFACTS.iter().find(|a| a.variant == VARIANT).unwrap();
        let bytes = |rows, k| Streamed(artifact).shared_bytes(&spec(rows, 64, k));
        let row = |k: u32| k * 2 + 16;
        assert_eq!(bytes(2, 64) - bytes(1, 64), 2 * row(64));
        assert_eq!(bytes(99, 64), bytes(16, 64));
        let left = MOST_DYNAMIC - bytes(99, 2880);
        assert!(left < row(2880), "{left}");
    }
}
