//! Grouped matrix multiplication: one launch, and one more where rows are combined into tokens.

use super::params::{Rows, address};
use super::plan::{CudaOp, Plan};
use super::swiglu::Unit;
use super::{Cuda, Stream};
use crate::backend::DeviceInfo;
use crate::dtype::DType;
use crate::error::Error;
use crate::mxfp4::Tiled;
use crate::op::{Epilogue, GroupedGemmArgs, GroupedGemmSpec, WeightFormat};
use crate::tensor::View;
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `GroupedGemmParams` in grouped_gemm/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    a: Rows,
    w: Rows,
    bias: Rows,
    d: Rows,
    out: Rows,
    w_scales: u64,
    offsets: u64,
    row_index: u64,
    row_of: u64,
    combine_weight: u64,
    status: u64,
    w_expert_bytes: i64,
    input_rows: i64,
    unit: Unit,
    experts: i32,
    local_first: i32,
    local_count: i32,
    rows: i32,
    n: i32,
    k: i32,
    divide: i32,
    tokens: i32,
    top_k: i32,
    format: u32,
    gated: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 248);

/// Most blocks in the second dimension of a grid.
const MAX_GRID_Y: usize = 65_535;

impl Params {
    fn new(op: &GroupedGemmSpec, args: &GroupedGemmArgs<'_, Cuda>, scratch: u64) -> Self {
        let pointer = |view: &Option<View<'_, Cuda>>| view.as_ref().map_or(0, |v| *v.mem());
        let (format, weight) = match op.weights {
            WeightFormat::Dense(dtype) => (0, dtype),
            WeightFormat::Mxfp4 => (1, DType::U8),
            WeightFormat::Mxfp4Gguf => (2, DType::U8),
            WeightFormat::Mxfp4Tiled => (3, DType::U8),
        };
        let (gated, unit) = match op.epilogue {
            Epilogue::None => (0, Unit::zeroed()),
            Epilogue::Swiglu(swiglu) => (1, Unit::from(&swiglu)),
        };
        let out = Rows::output(&args.d);
        let d = if op.combine.is_some() { Rows::contiguous(scratch, op.n_out(), DType::F32) } else { out };
        Params {
            a: Rows::input(&args.a),
            w: Rows::contiguous(*args.w.mem(), op.k, weight),
            bias: Rows::optional_input(&args.bias),
            d,
            out,
            w_scales: pointer(&args.w_scales),
            offsets: pointer(&args.offsets),
            row_index: pointer(&args.row_index),
            row_of: pointer(&args.row_of),
            combine_weight: pointer(&args.combine_weight),
            status: address(&args.status),
            w_expert_bytes: Tiled::bytes(op.n, op.k) as i64,
            input_rows: op.gather.map_or(op.rows, |g| g.input_rows) as i64,
            unit,
            experts: op.experts as i32,
            local_first: op.local.first as i32,
            local_count: op.local.count as i32,
            rows: op.rows as i32,
            n: op.n as i32,
            k: op.k as i32,
            divide: op.gather.map_or(0, |g| g.divide as i32),
            tokens: op.combine.map_or(0, |c| c.tokens as i32),
            top_k: op.combine.map_or(0, |c| c.top_k as i32),
            format,
            gated,
            unused: 0,
        }
    }
}

impl CudaOp for GroupedGemmSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let most = MAX_GRID_Y * artifact.block_n as usize;
        if self.n > most {
            return Err(format!("takes up to {most} weight rows, these are {}", self.n));
        }
        Ok(())
    }

    /// The rows in f32, where a combine follows.
    fn scratch_bytes(&self, _: &Artifact, _: &DeviceInfo) -> usize {
        self.combine.map_or(0, |_| self.rows.saturating_mul(self.n_out()).saturating_mul(4))
    }

    fn launch(
        plan: &Plan<Self>,
        args: GroupedGemmArgs<'_, Cuda>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, artifact) = (&plan.op, plan.artifact);
        if !matches!(op.weights, WeightFormat::Dense(_)) && !args.w.mem().is_multiple_of(4) {
            return Err(Error::input("grouped_gemm `w`", "MXFP4 weights must be aligned to 4 bytes"));
        }
        let params = Params::new(op, &args, scratch);
        // Every expert may leave one tile part empty.
        let tiles = op.rows.div_ceil(artifact.block_m.max(1) as usize) + if op.grouped { op.experts } else { 0 };
        let columns = op.n.div_ceil(artifact.block_n.max(1) as usize);
        plan.record(0, [tiles, columns, 1], stream, &params)?;
        match op.combine {
            Some(combine) => plan.record(1, [combine.tokens, 1, 1], stream, &params),
            None => Ok(()),
        }
    }
}
