//! The MXFP4 variant for the fewest rows on compute capability 9.0: weights go straight to registers, and blocks in pairs combine
//! what they made, so that there is one launch.

use super::Params;
use crate::backend::Hint;
use crate::cuda::plan::{Plan, Shape};
use crate::cuda::{Cuda, Stream};
use crate::error::Error;
use crate::op::{Epilogue, GroupedGemmArgs, GroupedGemmSpec};
use dropless_kernels_cuda::Artifact;

/// `MAX_ROWS` of slots.cuh, `FINISHERS` of direct_sm90.cu.
const MAX_ROWS: usize = 64;
const FINISHERS: u32 = 4;
/// What it is chosen for.
const FEW_ROWS: usize = 4;
const MANY_EXPERTS: usize = 128;
/// So that tiles times clusters fit 32 bits.
const MAX_COLUMNS: usize = 1 << 20;
/// `TILE_ROWS` and `TILE_K` of include/mxfp4.cuh.
const TILE_ROWS: u32 = 16;
const TILE_K: u32 = 64;
/// Blocks that combine together, and tiles of weight rows that they do it for, at most.
const CLUSTER: usize = 2;
const MOST_WIDTH: usize = 4;
/// Most shared memory that a block of compute capability 9.0 may have, and what `Block` of direct_sm90.cu takes of it, at most.
const MOST_SHARED: u32 = 227 << 10;
const MOST_DYNAMIC: u32 = MOST_SHARED - (7 << 10);

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Direct<'a>(&'a Artifact);

impl<'a> Direct<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        artifact.entries.contains(&c"grouped_gemm_direct").then_some(Direct(artifact))
    }

    /// Warps that multiply.
    fn consumers(self) -> u32 {
        self.0.warps.saturating_sub(FINISHERS)
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        super::prepacked_bf16(op)?;
        if op.rows > MAX_ROWS {
            return Err(format!("takes up to {MAX_ROWS} rows, these are {}", op.rows));
        }
        let most = (self.consumers() * self.0.block_k) as usize;
        if op.k > most {
            return Err(format!("has registers for {most} elements of a row, these are {}", op.k));
        }
        if op.combine.is_some() && op.epilogue != Epilogue::None {
            return Err("combines rows that are not gated".into());
        }
        if op.n > MAX_COLUMNS {
            return Err(format!("takes up to {MAX_COLUMNS} weight rows, these are {}", op.n));
        }
        let shared = self.shared_bytes(op);
        if shared > MOST_DYNAMIC {
            return Err(format!("a block takes {shared} bytes of shared memory, {MOST_DYNAMIC} are left for it"));
        }
        Ok(())
    }

    /// Rows of one token. On an H200 it beats streamed weights there where it combines, and among many experts, whose offsets
    /// streams go through first.
    ///
    /// # Errors
    /// What it is not made for, in words.
    pub(super) fn suits(self, op: &GroupedGemmSpec, hint: Hint<'_>) -> Result<(), String> {
        let rows = hint.rows.unwrap_or(op.rows);
        if rows > FEW_ROWS {
            return Err(format!("made for up to {FEW_ROWS} rows, these are {rows}"));
        }
        if op.combine.is_none() && op.local.count < MANY_EXPERTS {
            return Err(format!("made for rows that are combined, or {MANY_EXPERTS} experts and more"));
        }
        Ok(())
    }

    /// Parts of tiles, the rows of `a`, and where they are combined those of a cluster's results.
    pub(super) fn shared_bytes(self, op: &GroupedGemmSpec) -> u32 {
        let parts = FINISHERS * self.consumers() * self.0.block_m * TILE_ROWS * 4;
        let rows = u32::try_from(op.rows.min(MAX_ROWS)).unwrap_or(u32::MAX);
        let row = u32::try_from(op.k).unwrap_or(u32::MAX / 4).div_ceil(TILE_K).saturating_mul(128).saturating_add(16);
        let results = if op.combine.is_some() { MOST_WIDTH as u32 * TILE_ROWS * 4 } else { 0 };
        parts.saturating_add(rows.saturating_mul(row.saturating_add(results)))
    }

    /// Rows in f32 on their way to a combine, where a scale is out of the range of registers.
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
        let (op, units) = (&plan.op, plan.info().units.max(1) as usize);
        super::check_tiles(args)?;
        let (shared, params) = (self.shared_bytes(op), Params::new(op, args, 1, scratch));
        if op.combine.is_none() {
            return plan.record_with(0, [units, 1, 1], shared, stream, &params);
        }
        let clusters = (units / CLUSTER).max(op.n.div_ceil(TILE_ROWS as usize).div_ceil(MOST_WIDTH));
        let shape = Shape { shared, cluster: CLUSTER as u32, overlap: self.0.pdl };
        plan.record_as(0, [clusters * CLUSTER, 1, 1], &shape, stream, &params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Arch, DeviceInfo};
    use crate::cuda::choose::choose;
    use crate::dtype::DType;
    use crate::op::{Combine, LocalExperts, WeightFormat};

    const VARIANT: &str = "sm90_direct_8";

    fn spec(rows: usize, k: usize) -> GroupedGemmSpec {
        let linear = GroupedGemmSpec::linear(rows, 2880, k, DType::Bf16, DType::Bf16, None, DType::Bf16);
        GroupedGemmSpec { weights: WeightFormat::Mxfp4Tiled, ..linear }
    }

    fn forced(op: &GroupedGemmSpec, sm: u16) -> Result<&'static str, String> {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 132, shared_bytes: MOST_SHARED };
        let hint = Hint { variant: Some(VARIANT), rows: None };
        choose(op, &device, 80, hint).map(|c| c.variant()).map_err(|e| e.to_string())
    }

    #[test]
    fn takes_rows_that_fit_into_registers_and_shared_memory() {
        assert_eq!(forced(&spec(32, 2880), 90), Ok(VARIANT));
        assert_eq!(forced(&spec(64, 1024), 90), Ok(VARIANT));
        assert!(forced(&spec(64, 2880), 90).unwrap_err().contains("bytes of shared memory"));
        assert!(forced(&spec(65, 64), 90).unwrap_err().contains("up to 64 rows"));
        assert!(forced(&spec(1, 2944), 90).unwrap_err().contains("registers for 2880"));
        assert!(forced(&spec(1, 2880), 100).unwrap_err().contains("sm_90a alone"));
    }

    #[test]
    fn is_chosen_for_a_token_that_is_combined_or_has_many_experts() {
        let chosen = |tokens: usize, experts: usize, combines: bool| {
            let local = LocalExperts { first: 0, count: experts };
            let combine = combines.then_some(Combine { tokens, top_k: 4, weight: DType::F32 });
            let op = GroupedGemmSpec { experts, local, grouped: true, combine, ..spec(4 * tokens, 2880) };
            let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(90), units: 132, shared_bytes: MOST_SHARED };
            choose(&op, &device, 80, Hint::default()).unwrap().variant() == VARIANT
        };
        assert!(chosen(1, 32, true) && chosen(1, 128, true) && chosen(1, 128, false));
        assert!(!chosen(1, 32, false) && !chosen(2, 32, true) && !chosen(2, 128, false));
    }
}
