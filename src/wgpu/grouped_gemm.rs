//! Grouped matrix multiplication: a schedule of tiles, the tiles, and the sum over experts where rows are combined into tokens.

mod takes;

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::backend::Hint;
use crate::dtype::DType;
use crate::op::{Epilogue, GroupedGemmSpec, Op, Swiglu, WeightFormat};
use dropless_kernels_wgsl::Artifact;
use std::ops::Range;
use takes::{Reads, has_halves, kind, streams};

/// Where things are in the scratch: both tables of the schedule, then the rows that a combine adds up, then rows of `a`, and of dense
/// weights behind them, as f16 and their scales.
struct Scratch {
    tables: Range<usize>,
    rows: Range<usize>,
    halves: Range<usize>,
    scales: Range<usize>,
}

impl Scratch {
    fn new(op: &GroupedGemmSpec, artifact: &Artifact) -> Self {
        let mut end = 0usize;
        let mut next = |bytes: usize| {
            let first = end;
            end = end.saturating_add(bytes.checked_next_multiple_of(256).unwrap_or(usize::MAX));
            first..first.saturating_add(bytes)
        };
        let some = |there: bool, bytes: usize| if there { bytes } else { 0 };
        let halves = match kind(artifact) {
            _ if !has_halves(artifact) => 0,
            Reads::Halves => op.rows.saturating_add(op.n),
            _ => op.rows,
        };
        Scratch {
            tables: next(some(op.grouped, 2 * (op.experts + 1) * 4)),
            rows: next(some(op.combine.is_some(), op.rows.saturating_mul(op.n_out()).saturating_mul(4))),
            halves: next(halves.saturating_mul(padded(op.k)).saturating_mul(2)),
            scales: next(halves.saturating_mul(4)),
        }
    }
}

/// Elements of a row in whole tiles of prepacked weights.
fn padded(k: usize) -> usize {
    k.next_multiple_of(64)
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
        // Every expert may have a tile that is not full; a row alone is full.
        let more = if self.grouped && block_m > 1 { self.experts.min(self.rows) } else { 0 };
        let rows = self.rows.div_ceil(block_m) + more;
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
                ("k_tiles", padded(self.k) / 64),
                ("divide", self.gather.map_or(1, |g| g.divide)),
                ("input_rows", self.gather.map_or(0, |g| g.input_rows)),
            ]);
        let launch = launch.in_words(self.k.is_multiple_of(4) && self.n.is_multiple_of(4));
        let launch = scheduled(self.weights(launch, artifact, bound), self, scratch);
        let launch = match self.grouped && block_m == 1 {
            true => launch.ints(["offsets"]),
            false => launch.without("offsets", Kind::Ints),
        };
        // Rows that were made halves of have been reported.
        let launch = match !has_halves(artifact) && (self.gather.is_some() || block_m == 1) {
            true => launch.status(),
            false => launch.without("status", Kind::Status),
        };
        let launch = match has_halves(artifact) {
            true => self.halves(launch, scratch, Kind::Halves, Kind::Reads(DType::F32)),
            false => launch,
        };
        match self.combine {
            Some(_) => launch.scratch("d", Kind::Writes(DType::F32), scratch.rows.clone(), self.n_out()),
            None => launch.writes("d", self.d),
        }
    }
}

impl GroupedGemmSpec {
    /// Rows of `a` as f16, and their scales.
    fn halves(&self, launch: Launch, scratch: &Scratch, halves: Kind, scales: Kind) -> Launch {
        launch.scratch("halves", halves, scratch.halves.clone(), padded(self.k)).scratch(
            "row_scale",
            scales,
            scratch.scales.clone(),
            1,
        )
    }

    fn make_halves(&self, scratch: &Scratch) -> Launch {
        let launch = Launch::new("grouped_halves", self.rows)
            .reads("a", self.a)
            .without("w", Kind::Reads(DType::F32))
            .ints_if("row_index", self.gather.map(|_| "row_index"))
            .consts([("GATHER", self.gather.is_some().into())])
            .sizes([
                ("divide", self.gather.map_or(1, |g| g.divide)),
                ("input_rows", self.gather.map_or(0, |g| g.input_rows)),
            ])
            .status();
        self.made(launch, self.a, false, scratch)
    }

    fn make_halves_of_weights(&self, weights: DType, scratch: &Scratch) -> Launch {
        let launch = Launch::new("grouped_halves", self.n)
            .window("w", Kind::Reads(weights), 0..1)
            .without("a", Kind::Reads(DType::F32))
            .ints_if("row_index", None)
            .consts([("GATHER", 0)])
            .sizes([("divide", 1), ("input_rows", 0)])
            .without("status", Kind::Status);
        self.made(launch, weights, true, scratch)
    }

    /// Halves of rows of this type, those of weights behind those of `a`. f16 is left as it is.
    fn made(&self, launch: Launch, from: DType, weights: bool, scratch: &Scratch) -> Launch {
        let launch = launch
            .consts([("REBASED", (from == DType::Bf16).into()), ("WEIGHTS", weights.into())])
            .sizes([("k", self.k), ("first", if weights { self.rows } else { 0 })]);
        scheduled(self.halves(launch, scratch, Kind::Vectors(DType::F16), Kind::Writes(DType::F32)), self, scratch)
    }
}

impl WgpuOp for GroupedGemmSpec {
    fn limits(&self) -> Result<(), String> {
        let (rows, n, k) = (self.rows.max(self.out_rows()), self.n, self.k);
        for (what, x, y) in [("`a`", rows, k), ("an expert's weights", n, k), ("`d`", rows, n)] {
            if x.saturating_mul(y) > u32::MAX as usize {
                return Err(format!("{what}: {x} rows of {y} are more than 2^32 elements"));
            }
        }
        Ok(())
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        takes::legal(self, artifact)
    }

    fn suits(&self, artifact: &Artifact, hint: Hint<'_>) -> Result<(), String> {
        takes::suits(self, artifact, hint)
    }

    fn windowed(&self, operand: &str) -> bool {
        matches!(operand, "w" | "w_scales")
    }

    fn launches(&self, artifact: &Artifact, device: &Capabilities) -> Result<Launches, String> {
        let scratch = Scratch::new(self, artifact);
        let mut list = Vec::new();
        // Where a row is a tile, workgroups look themselves.
        if self.grouped && artifact.size("BLOCK_M") > 1 {
            let launch = Launch::new("grouped_schedule", 1)
                .ints(["offsets"])
                .status()
                .consts([("ZEROS", self.combine.is_none().into())]);
            list.push(scheduled(launch, self, &scratch));
        }
        if has_halves(artifact) {
            list.push(self.make_halves(&scratch));
        }
        if let (Reads::Halves, WeightFormat::Dense(weights)) = (kind(artifact), self.weights) {
            list.push(self.make_halves_of_weights(weights, &scratch));
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
                .sizes([("width", width), ("tokens", combine.tokens), ("top_k", combine.top_k)])
                .in_words(width.is_multiple_of(4));
            list.push(scheduled(launch, self, &scratch));
        }
        Ok(Launches { list, scratch: scratch.scales.end })
    }
}
