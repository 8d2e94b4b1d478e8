//! Grouped matrix multiplication: one launch, and one more where rows are combined into tokens.

use super::plan::{HipOp, Plan, most_blocks};
use super::{Hip, Stream};
use crate::backend::DeviceInfo;
use crate::backend::params::grouped_gemm::{Params, finishes};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{GroupedGemmArgs, GroupedGemmSpec, WeightFormat};
use dropless_kernels_hip::Artifact;

/// Most blocks a multiprocessor of the second launch.
const FINISH_BLOCKS: usize = 8;
/// Most blocks in the second dimension of a grid.
const MAX_GRID_Y: usize = 65_535;

/// Row tiles: every expert may leave one part empty.
fn row_tiles(op: &GroupedGemmSpec, artifact: &Artifact) -> usize {
    op.rows.div_ceil(artifact.block_m.max(1) as usize) + if op.grouped { op.experts } else { 0 }
}

/// Does the variant multiply on matrix units, with a kernel for each pair of types?
fn on_matrix_units(artifact: &Artifact) -> bool {
    artifact.entries.len() > 2
}

/// Position of the kernel for the types of the spec, on matrix units.
///
/// # Errors
/// Which types there are kernels for, in words.
fn of_types(op: &GroupedGemmSpec) -> Result<usize, String> {
    if !matches!(op.a, DType::Bf16 | DType::F16) {
        return Err(format!("multiplies bf16 and f16, `a` is {}", op.a));
    }
    let blocks = match op.weights {
        WeightFormat::Dense(dtype) if dtype != op.a => {
            return Err(format!("wants dense weights of the type of `a`, {}, they are {dtype}", op.a));
        }
        WeightFormat::Dense(_) => false,
        _ => true,
    };
    Ok(2 * usize::from(op.a == DType::F16) + usize::from(blocks))
}

impl HipOp for GroupedGemmSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        if on_matrix_units(artifact) {
            of_types(self)?;
        }
        let most = MAX_GRID_Y * artifact.block_n as usize;
        if self.n > most {
            return Err(format!("takes up to {most} weight rows, these are {}", self.n));
        }
        let (tiles, most) = (row_tiles(self, artifact), most_blocks(artifact));
        if tiles > most {
            return Err(format!("takes up to {most} tiles of rows, these are {tiles}"));
        }
        Ok(())
    }

    fn kernel(&self, artifact: &Artifact) -> usize {
        // The chooser has asked whether there is one.
        if on_matrix_units(artifact) { of_types(self).unwrap_or_default() } else { 0 }
    }

    /// The rows in f32, where `out` is made of them.
    fn scratch_bytes(&self, _: &Artifact, _: &DeviceInfo) -> usize {
        if finishes(self, 1) { self.rows.saturating_mul(self.n_out()).saturating_mul(4) } else { 0 }
    }

    fn launch(
        plan: &Plan<Self>,
        args: GroupedGemmArgs<'_, Hip>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, artifact) = (&plan.op, plan.artifact);
        if !matches!(op.weights, WeightFormat::Dense(_)) && !args.w.mem().is_multiple_of(4) {
            return Err(Error::input("grouped_gemm `w`", "MXFP4 weights must be aligned to 4 bytes"));
        }
        let params = Params::new(op, &args, 1, scratch);
        let columns = op.n.div_ceil(artifact.block_n.max(1) as usize);
        plan.record(op.kernel(artifact), [row_tiles(op, artifact), columns], stream, &params)?;
        if !finishes(op, 1) {
            return Ok(());
        }
        // A thread makes eight columns of a row.
        let threads = op.out_rows().saturating_mul(op.n_out().div_ceil(8));
        let most = FINISH_BLOCKS * plan.info().units.max(1) as usize;
        let blocks = threads.div_ceil(32 * artifact.warps.max(1) as usize).min(most);
        plan.record(artifact.entries.len() - 1, [blocks, 1], stream, &params)
    }
}
