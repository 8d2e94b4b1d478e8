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
/// Dies of an MI300, and tiles of a group that a die gets, in either direction: kernels-hip/grouped_gemm/tile_order.h.
const DIES: usize = 8;
const GROUP: usize = 4;
/// Fewest rows an expert for tiles of 256. From the estimated clocks of a step, not measured: of MXFP4 such a tile takes as long as
/// two and a half of 64 rows.
const PREFILL_ROWS: usize = 160;
/// Most rows an expert for tiles of 16, which load its weights again for each. From the same estimates: tiles of 64 rows take the
/// weights at a third of the memory's bandwidth, these at nearly all of it.
const DECODE_ROWS: usize = 32;
const DECODE: &str = "mfma_decode";
/// Rounds activations to f8e4m3, blocks of 32 with a power of two each.
const NARROW: &str = "mfma_f8";

/// Row tiles: every expert may leave one part empty.
fn row_tiles(op: &GroupedGemmSpec, artifact: &Artifact) -> usize {
    op.rows.div_ceil(artifact.block_m.max(1) as usize) + if op.grouped { op.experts } else { 0 }
}

fn columns(op: &GroupedGemmSpec, artifact: &Artifact) -> usize {
    op.n.div_ceil(artifact.block_n.max(1) as usize)
}

/// Does the variant multiply on matrix units, with a kernel for each pair of types?
fn on_matrix_units(artifact: &Artifact) -> bool {
    artifact.entries.len() > 2
}

/// Are blocks counted in one dimension, groups of tiles for every die?
fn in_groups(artifact: &Artifact) -> bool {
    ["mfma", "mfma_prefill"].contains(&artifact.variant)
}

/// Blocks of the first launch.
fn grid(op: &GroupedGemmSpec, artifact: &Artifact) -> [usize; 2] {
    let [rows, columns] = [row_tiles(op, artifact), columns(op, artifact)];
    if !in_groups(artifact) {
        return [rows, columns];
    }
    let groups = rows.div_ceil(GROUP).saturating_mul(columns.div_ceil(GROUP));
    [groups.next_multiple_of(DIES).saturating_mul(GROUP * GROUP), 1]
}

/// Position of the kernel for the types of the spec, on matrix units: of bf16, then of f16, for dense weights, for MXFP4, and,
/// where there is one, for its other layouts.
///
/// # Errors
/// Which types there are kernels for, in words.
fn of_types(op: &GroupedGemmSpec, artifact: &Artifact) -> Result<usize, String> {
    if !matches!(op.a, DType::Bf16 | DType::F16) {
        return Err(format!("multiplies bf16 and f16, `a` is {}", op.a));
    }
    let format = match op.weights {
        WeightFormat::Dense(dtype) if dtype != op.a => {
            return Err(format!("wants dense weights of the type of `a`, {}, they are {dtype}", op.a));
        }
        WeightFormat::Dense(_) => 0,
        WeightFormat::Mxfp4 => 1,
        WeightFormat::Mxfp4Gguf | WeightFormat::Mxfp4Tiled => 2,
    };
    let formats = artifact.entries.len() / 2;
    Ok(formats * usize::from(op.a == DType::F16) + format.min(formats - 1))
}

impl HipOp for GroupedGemmSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        if on_matrix_units(artifact) {
            of_types(self, artifact)?;
        }
        if [DECODE, NARROW].contains(&artifact.variant) && (self.a, self.weights) != (DType::Bf16, WeightFormat::Mxfp4)
        {
            return Err("multiplies bf16 by MXFP4 as OpenAI stores it".into());
        }
        let most = MAX_GRID_Y * artifact.block_n as usize;
        if !in_groups(artifact) && self.n > most {
            return Err(format!("takes up to {most} weight rows, these are {}", self.n));
        }
        let ([blocks, _], most) = (grid(self, artifact), most_blocks(artifact));
        if blocks > most {
            return Err(format!("takes up to {most} tiles, these are {blocks}"));
        }
        Ok(())
    }

    fn suits(&self, artifact: &Artifact) -> Result<(), String> {
        let rows = self.rows / self.experts.max(1);
        if artifact.variant == NARROW {
            return Err("rounds activations to f8e4m3: for whoever asks for it".into());
        }
        if artifact.variant == "mfma_prefill" && rows < PREFILL_ROWS {
            return Err(format!("for {PREFILL_ROWS} rows an expert or more, by estimate; these are {rows}"));
        }
        if artifact.variant == DECODE && rows > DECODE_ROWS {
            return Err(format!("for up to {DECODE_ROWS} rows an expert, by estimate; these are {rows}"));
        }
        Ok(())
    }

    fn kernel(&self, artifact: &Artifact) -> usize {
        // The chooser has asked whether there is one.
        if on_matrix_units(artifact) { of_types(self, artifact).unwrap_or_default() } else { 0 }
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
        plan.record(op.kernel(artifact), grid(op, artifact), stream, &params)?;
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
