//! Grouped matrix multiplication: a schedule of tiles, the tiles, and the sum over experts where rows are combined into tokens.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::backend::Hint;
use crate::dtype::DType;
use crate::op::{Epilogue, GateUp, GroupedGemmSpec, Op, Swiglu, WeightFormat};
use dropless_kernels_wgsl::Artifact;
use std::ops::Range;

/// Rows an expert up to which they are few: at 8, weights are read twice, and an H200 takes 27 % longer than with wide tiles.
const FEW_ROWS: f64 = 4.0;

/// Where things are in the scratch: both tables of the schedule, then the rows that a combine adds up.
struct Scratch {
    tables: Range<usize>,
    rows: Range<usize>,
}

impl Scratch {
    fn new(op: &GroupedGemmSpec) -> Self {
        let tables = if op.grouped { (2 * (op.experts + 1) * 4).next_multiple_of(256) } else { 0 };
        let rows = if op.combine.is_some() { op.rows.saturating_mul(op.n_out()).saturating_mul(4) } else { 0 };
        Scratch { tables: 0..tables, rows: tables..tables.saturating_add(rows) }
    }
}

/// The tables of the schedule, where there are any.
fn scheduled(launch: Launch, op: &GroupedGemmSpec, scratch: &Scratch) -> Launch {
    let launch = launch
        .consts([("GROUPED", op.grouped.into())])
        .counts([("rows", op.rows), ("local_first", op.local.first), ("local_count", op.local.count)])
        .sizes([("experts", op.experts)]);
    match op.grouped {
        true => launch.scratch("tables", Kind::Ints, scratch.tables.clone(), 0),
        false => launch.without("tables", Kind::Ints),
    }
}

/// Are weights read 16 bytes at a time?
fn streams(artifact: &Artifact) -> bool {
    matches!(artifact.variant, "tiled_1" | "tiled_4" | "dense_1" | "dense_4")
}

impl GroupedGemmSpec {
    /// Local experts whose weights one launch binds.
    fn window(&self, device: &Capabilities) -> Result<usize, String> {
        let weights = |o: &&crate::op::Operand| self.windowed(o.name);
        let each = self.operands().iter().filter(weights).map(|o| o.shape.row_len() * o.dtype.bytes()).max();
        // A binding may begin up to an alignment in front of the first expert.
        let most = device.limits.max_storage_buffer_binding_size.saturating_sub(256) as usize;
        let each = each.unwrap_or(1).max(1);
        match most / each {
            0 => Err(format!("an expert's weights take {each} bytes, the device binds up to {most}")),
            experts => Ok(experts),
        }
    }

    fn weights(&self, launch: Launch, artifact: &Artifact, bound: Range<usize>) -> Launch {
        let launch = launch.counts([("bound_first", bound.start), ("bound_count", bound.len())]);
        match (self.weights, streams(artifact)) {
            (WeightFormat::Dense(dtype), true) => {
                let bf16 = dtype == DType::Bf16;
                return launch.window("w", Kind::Vectors(dtype), bound).consts([("BF16", bf16.into())]);
            }
            (_, true) => return launch.window("w", Kind::Vectors(DType::U8), bound),
            _ => {}
        }
        match self.weights {
            WeightFormat::Dense(dtype) => launch
                .window("w", Kind::Reads(dtype), bound)
                .without("w", Kind::Bytes)
                .without("w_scales", Kind::Bytes)
                .consts([("FORMAT", 0)]),
            WeightFormat::Mxfp4 => launch
                .window("w", Kind::Bytes, bound.clone())
                .window("w_scales", Kind::Bytes, bound)
                .without("w", Kind::Reads(DType::F32))
                .consts([("FORMAT", 1)]),
            packed => launch
                .window("w", Kind::Bytes, bound)
                .without("w_scales", Kind::Bytes)
                .without("w", Kind::Reads(DType::F32))
                .consts([("FORMAT", if packed == WeightFormat::Mxfp4Gguf { 2 } else { 3 })]),
        }
    }

    fn tiles(&self, artifact: &Artifact, scratch: &Scratch, bound: Range<usize>) -> Launch {
        let (block_m, block_n) = (artifact.size("BLOCK_M") as usize, artifact.size("BLOCK_N") as usize);
        // Every expert may have a tile that is not full.
        let rows = self.rows.div_ceil(block_m) + if self.grouped { self.experts.min(self.rows) } else { 0 };
        let columns = self.n.div_ceil(block_n);
        let (gated, unit) = match self.epilogue {
            Epilogue::None => (0, Swiglu::GPT_OSS),
            Epilogue::Swiglu(unit) => (1, unit),
        };
        let launch = Launch::new("grouped_gemm", rows.saturating_mul(columns))
            .reads("a", self.a)
            .reads_if("bias", self.bias)
            .ints_if("row_index", self.gather.map(|_| "row_index"))
            .unit(&unit)
            .consts([("GATED", gated), ("BIAS", self.bias.is_some().into()), ("GATHER", self.gather.is_some().into())])
            .sizes([
                ("n", self.n),
                ("k", self.k),
                ("columns", columns),
                ("divide", self.gather.map_or(1, |g| g.divide)),
                ("input_rows", self.gather.map_or(0, |g| g.input_rows)),
            ]);
        let launch = scheduled(self.weights(launch, artifact, bound), self, scratch);
        let launch = match self.gather {
            Some(_) => launch.status(),
            None => launch.without("status", Kind::Status),
        };
        match self.combine {
            Some(_) => launch.scratch("d", Kind::Writes(DType::F32), scratch.rows.clone(), self.n_out()),
            None => launch.writes("d", self.d),
        }
    }
}

impl WgpuOp for GroupedGemmSpec {
    fn limits(&self) -> Result<(), String> {
        let elements = self.rows.max(self.n).saturating_mul(self.n.max(self.k));
        if elements > u32::MAX as usize {
            return Err(format!("{} rows of {} are more than 2^32 elements", self.rows, self.n.max(self.k)));
        }
        Ok(())
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let halves = matches!(self.epilogue, Epilogue::Swiglu(unit) if unit.layout == GateUp::Halves);
        match (artifact.variant, self.weights) {
            ("tiled_1" | "tiled_4", WeightFormat::Mxfp4Tiled) if halves => {
                Err("a tile of prepacked weights has gates without their ups".into())
            }
            ("dense_1" | "dense_4", WeightFormat::Dense(DType::Bf16 | DType::F16)) if !self.k.is_multiple_of(8) => {
                Err(format!("rows of weights are whole 16 bytes here, these have {} elements", self.k))
            }
            ("tiled_1" | "tiled_4", WeightFormat::Mxfp4Tiled) => Ok(()),
            ("dense_1" | "dense_4", WeightFormat::Dense(DType::Bf16 | DType::F16)) => Ok(()),
            ("tiled_1" | "tiled_4", _) => Err("takes prepacked MXFP4 weights".into()),
            ("dense_1" | "dense_4", _) => Err("takes weights of bf16 and f16".into()),
            _ => Ok(()),
        }
    }

    /// Weights are read again for every BLOCK_M rows: worth it up to so many an expert.
    fn suits(&self, artifact: &Artifact, hint: Hint<'_>) -> Result<(), String> {
        let each = hint.rows.unwrap_or(self.rows) as f64 / self.experts.max(1) as f64;
        let most = match artifact.variant {
            "tiled_1" | "dense_1" => 1.0,
            "tiled_4" | "dense_4" => 8.0,
            "few_rows" => FEW_ROWS,
            _ => f64::INFINITY,
        };
        if each > most {
            return Err(format!("made for up to {most} rows an expert, these are {each}"));
        }
        Ok(())
    }

    fn windowed(&self, operand: &str) -> bool {
        matches!(operand, "w" | "w_scales")
    }

    fn launches(&self, artifact: &Artifact, device: &Capabilities) -> Result<Launches, String> {
        let scratch = Scratch::new(self);
        let mut list = Vec::new();
        if self.grouped {
            let launch = Launch::new("grouped_schedule", 1)
                .ints(["offsets"])
                .status()
                .consts([("ZEROS", self.combine.is_none().into())]);
            list.push(scheduled(launch, self, &scratch));
        }
        // Without local experts there still are rows to zero.
        let (window, count) = (self.window(device)?, self.local.count);
        for first in (0..count.max(1)).step_by(window) {
            list.push(self.tiles(artifact, &scratch, first..count.min(first + window)));
        }
        if let Some(combine) = self.combine {
            let (width, threads) = (self.n_out(), artifact.size("THREADS") as usize);
            let items = combine.tokens.saturating_mul(width.div_ceil(4)).div_ceil(threads);
            let launch = Launch::new("grouped_combine", items)
                .scratch("y", Kind::Reads(DType::F32), scratch.rows.clone(), width)
                .ints(["row_of"])
                .reads("combine_weight", combine.weight)
                .writes("d", self.d)
                .status()
                .sizes([("width", width), ("tokens", combine.tokens), ("top_k", combine.top_k)]);
            list.push(scheduled(launch, self, &scratch));
        }
        Ok(Launches { list, scratch: scratch.rows.end })
    }
}
