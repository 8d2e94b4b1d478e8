//! What grouped_gemm is given.

use super::swiglu::Unit;
use super::{Addressed, Rows, address, pointer};
use crate::dtype::DType;
use crate::mxfp4::Tiled;
use crate::op::{Epilogue, GroupedGemmArgs, GroupedGemmSpec, WeightFormat};
use bytemuck::{Pod, Zeroable};

/// Mirrors `GroupedGemmParams` in grouped_gemm/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    pub(crate) a: Rows,
    pub(crate) w: Rows,
    pub(crate) bias: Rows,
    pub(crate) d: Rows,
    pub(crate) out: Rows,
    pub(crate) w_scales: u64,
    pub(crate) offsets: u64,
    pub(crate) row_index: u64,
    pub(crate) row_of: u64,
    pub(crate) combine_weight: u64,
    pub(crate) status: u64,
    pub(crate) w_expert_bytes: i64,
    pub(crate) input_rows: i64,
    pub(crate) unit: Unit,
    pub(crate) experts: i32,
    pub(crate) local_first: i32,
    pub(crate) local_count: i32,
    pub(crate) rows: i32,
    pub(crate) n: i32,
    pub(crate) k: i32,
    pub(crate) divide: i32,
    pub(crate) tokens: i32,
    pub(crate) top_k: i32,
    pub(crate) format: u32,
    pub(crate) gated: u32,
    pub(crate) splits: i32,
    pub(crate) a_aligned: u32,
    pub(crate) w_aligned: u32,
}

const _: () = assert!(size_of::<Params>() == 256);

impl Params {
    pub(crate) fn new<B: Addressed>(
        op: &GroupedGemmSpec,
        args: &GroupedGemmArgs<'_, B>,
        splits: usize,
        scratch: u64,
    ) -> Self {
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
        let part = if splits > 1 { op.n } else { op.n_out() };
        let d = if finishes(op, splits) { Rows::contiguous(scratch, part, DType::F32) } else { out };
        let aligned = |mem: u64, row: usize, of: DType| {
            (mem.is_multiple_of(16) && (row * of.bytes()).is_multiple_of(16) && op.k.is_multiple_of(8)).into()
        };
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
            splits: splits as i32,
            a_aligned: aligned(*args.a.mem(), args.a.info().row_stride, op.a),
            w_aligned: match op.weights {
                WeightFormat::Dense(of) => aligned(*args.w.mem(), op.k, of),
                _ => args.w.mem().is_multiple_of(16).into(),
            },
        }
    }
}

/// Is `out` made by the second launch?
pub(crate) fn finishes(op: &GroupedGemmSpec, splits: usize) -> bool {
    op.combine.is_some() || splits > 1
}
