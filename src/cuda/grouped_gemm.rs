//! Grouped matrix multiplication: one launch, and one more where rows are combined into tokens or K is split.

mod decode;
mod direct;
mod prefill;
mod rebased;
mod split;
mod stream;
#[cfg(test)]
mod tests;
mod vector;

use super::plan::{CudaOp, Plan};
use super::tiles::Tiles;
use super::tuned::gemm_class;
use super::{Cuda, Stream};
use crate::backend::params::grouped_gemm::{Params, finishes};
use crate::backend::{Class, DeviceInfo, Hint};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{Epilogue, GateUp, GroupedGemmArgs, GroupedGemmSpec, WeightFormat};
use decode::Decode;
use direct::Direct;
use dropless_kernels_cuda::Artifact;
use prefill::Prefill;
use rebased::Rebased;
use split::Split;
use stream::Streamed;
use vector::Vector;

/// Most blocks a multiprocessor of the second launch.
const FINISH_BLOCKS: usize = 16;
/// Most blocks in the second dimension of a grid.
const MAX_GRID_Y: usize = 65_535;

/// Blocks of the second launch. A thread makes eight columns of a row.
fn finish_blocks(op: &GroupedGemmSpec, artifact: &Artifact, device: &DeviceInfo) -> usize {
    let threads = op.out_rows().saturating_mul(op.n_out().div_ceil(8));
    threads.div_ceil(32 * artifact.warps as usize).min(FINISH_BLOCKS * device.units.max(1) as usize)
}

/// What a variant is made of.
enum Kind<'a> {
    Simt,
    Tiles(Tiles<'a>),
    Rebased(Rebased<'a>),
    Prefill(Prefill<'a>),
    Decode(Decode<'a>),
    Streamed(Streamed<'a>),
    Direct(Direct<'a>),
    Vector(Vector<'a>),
    Split(Split<'a>),
}

impl<'a> Kind<'a> {
    fn of(artifact: &'a Artifact) -> Self {
        let tiles = || Tiles::of(artifact).map(Kind::Tiles);
        let rebased = || Rebased::of(artifact).map(Kind::Rebased);
        let prefill = || Prefill::of(artifact).map(Kind::Prefill);
        let decode = || Decode::of(artifact).map(Kind::Decode);
        let streamed = || Streamed::of(artifact).map(Kind::Streamed);
        let direct = || Direct::of(artifact).map(Kind::Direct);
        let vector = || Vector::of(artifact).map(Kind::Vector);
        let split = || Split::of(artifact).map(Kind::Split);
        tiles()
            .or_else(rebased)
            .or_else(prefill)
            .or_else(decode)
            .or_else(streamed)
            .or_else(direct)
            .or_else(vector)
            .or_else(split)
            .unwrap_or(Kind::Simt)
    }
}

/// # Errors
/// What the kernels that are made for prepacked weights and bf16 alone do not take, in words.
fn prepacked_bf16(op: &GroupedGemmSpec) -> Result<(), String> {
    if op.weights != WeightFormat::Mxfp4Tiled {
        return Err("multiplies prepacked MXFP4 weights".into());
    }
    if op.a != DType::Bf16 {
        return Err(format!("multiplies bf16, `a` is {}", op.a));
    }
    match op.epilogue {
        Epilogue::Swiglu(s) if s.layout == GateUp::Halves => {
            Err("wants gate and up side by side: its tiles hold one of the two halves".into())
        }
        _ => Ok(()),
    }
}

/// Rows that an expert has where they lie evenly.
fn rows_each(op: &GroupedGemmSpec, hint: Hint<'_>) -> usize {
    let rows = hint.rows.unwrap_or(op.rows);
    rows.div_ceil(rows.min(op.local.count).max(1))
}

/// Rows lie unevenly: where they are nearly a tile on average, half of the experts need two. Measured on an H200.
///
/// # Errors
/// Where an expert has too many rows, in words.
fn few_rows(op: &GroupedGemmSpec, artifact: &Artifact, hint: Hint<'_>) -> Result<(), String> {
    let (each, most) = (rows_each(op, hint), artifact.block_m as usize * 3 / 4);
    if each > most {
        return Err(format!("is for up to {most} rows an expert, these are {each}"));
    }
    Ok(())
}

/// Those kernels copy tiles 16 bytes at a time.
fn check_tiles(args: &GroupedGemmArgs<'_, Cuda>) -> Result<(), Error> {
    match args.w.mem().is_multiple_of(16) {
        true => Ok(()),
        false => Err(Error::input("grouped_gemm `w`", "prepacked weights must be aligned to 16 bytes")),
    }
}

impl CudaOp for GroupedGemmSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        match Kind::of(artifact) {
            Kind::Tiles(tiles) => tiles.legal(self),
            Kind::Rebased(rebased) => rebased.legal(self),
            Kind::Prefill(prefill) => prefill.legal(self),
            Kind::Decode(_) => prepacked_bf16(self),
            Kind::Streamed(streamed) => streamed.legal(self),
            Kind::Direct(direct) => direct.legal(self),
            Kind::Vector(vector) => vector.legal(self),
            Kind::Split(split) => split.legal(self),
            Kind::Simt => {
                let most = MAX_GRID_Y * artifact.block_n as usize;
                if self.n > most {
                    return Err(format!("takes up to {most} weight rows, these are {}", self.n));
                }
                Ok(())
            }
        }
    }

    fn suits(&self, artifact: &Artifact, device: &DeviceInfo, hint: Hint<'_>) -> Result<(), String> {
        match Kind::of(artifact) {
            Kind::Tiles(tiles) => tiles.suits(self, device, hint),
            Kind::Rebased(rebased) => rebased.suits(self, hint),
            Kind::Prefill(prefill) => prefill.suits(self, device, hint),
            Kind::Decode(_) | Kind::Streamed(_) => few_rows(self, artifact, hint),
            Kind::Direct(direct) => direct.suits(self, hint),
            Kind::Vector(vector) => vector.suits(self),
            Kind::Split(split) => split.suits(self, device),
            Kind::Simt => Ok(()),
        }
    }

    fn class(&self, hint: Hint<'_>) -> Option<Class> {
        Some(gemm_class(self, hint))
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        match Kind::of(artifact) {
            Kind::Tiles(tiles) => tiles.shared_bytes(self),
            Kind::Rebased(rebased) => rebased.shared_bytes(),
            Kind::Prefill(prefill) => prefill.shared_bytes(),
            Kind::Decode(decode) => decode.shared_bytes(),
            Kind::Streamed(streamed) => streamed.shared_bytes(self),
            Kind::Direct(direct) => direct.shared_bytes(self),
            Kind::Split(split) => split.shared_bytes(),
            Kind::Vector(_) | Kind::Simt => 0,
        }
    }

    /// The rows in f32, or their parts, where `out` is made of them.
    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        let splits = match Kind::of(artifact) {
            Kind::Tiles(tiles) => tiles.splits(self, device),
            Kind::Rebased(rebased) => rebased.splits(self, device),
            Kind::Prefill(prefill) => return prefill.scratch_bytes(self),
            Kind::Decode(decode) => return decode.scratch_bytes(self),
            Kind::Streamed(streamed) => return streamed.scratch_bytes(self),
            Kind::Direct(direct) => return direct.scratch_bytes(self),
            Kind::Vector(_) | Kind::Split(_) | Kind::Simt => 1,
        };
        if !finishes(self, splits) {
            return 0;
        }
        let columns = if splits > 1 { self.n } else { self.n_out() };
        splits.saturating_mul(self.rows).saturating_mul(columns).saturating_mul(4)
    }

    fn launch(
        plan: &Plan<Self>,
        args: GroupedGemmArgs<'_, Cuda>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, artifact, device) = (&plan.op, plan.artifact, plan.info());
        let new = |splits| (splits, Params::new(op, &args, splits, scratch));
        let (splits, params) = match Kind::of(artifact) {
            Kind::Prefill(prefill) => return prefill.launch(plan, &args, scratch, stream),
            Kind::Decode(decode) => return decode.launch(plan, &args, scratch, stream),
            Kind::Streamed(streamed) => return streamed.launch(plan, &args, scratch, stream),
            Kind::Direct(direct) => return direct.launch(plan, &args, scratch, stream),
            Kind::Vector(vector) => return vector.launch(plan, &args, stream),
            Kind::Split(split) => return split.launch(plan, &args, stream),
            Kind::Tiles(tiles) => {
                let (splits, params) = new(tiles.splits(op, device));
                plan.record(tiles.kernel(op), [tiles.blocks(op, device), 1, 1], stream, &params)?;
                (splits, params)
            }
            Kind::Rebased(rebased) => {
                let (splits, params) = new(rebased.splits(op, device));
                plan.record(rebased.kernel(op), [rebased.blocks(op, device), 1, 1], stream, &params)?;
                (splits, params)
            }
            Kind::Simt => {
                if !matches!(op.weights, WeightFormat::Dense(_)) && !args.w.mem().is_multiple_of(4) {
                    return Err(Error::input("grouped_gemm `w`", "MXFP4 weights must be aligned to 4 bytes"));
                }
                // Every expert may leave one tile part empty.
                let rows = op.rows.div_ceil(artifact.block_m.max(1) as usize) + if op.grouped { op.experts } else { 0 };
                let columns = op.n.div_ceil(artifact.block_n.max(1) as usize);
                let (splits, params) = new(1);
                plan.record(0, [rows, columns, 1], stream, &params)?;
                (splits, params)
            }
        };
        if !finishes(op, splits) {
            return Ok(());
        }
        let blocks = finish_blocks(op, artifact, device);
        plan.record_with(artifact.entries.len() - 1, [blocks, 1, 1], 0, stream, &params)
    }
}
