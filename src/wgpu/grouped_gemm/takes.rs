//! Which variants take a grouped matrix multiplication, and which of them suit it.

use crate::backend::Hint;
use crate::dtype::DType;
use crate::op::{Epilogue, GateUp, GroupedGemmSpec, WeightFormat};
use dropless_kernels_wgsl::Artifact;

/// Rows an expert up to which they are few: at 8, weights are read twice, and an H200 takes 27 % longer than with wide tiles.
const FEW_ROWS: f64 = 4.0;

/// Are weights read 16 bytes at a time?
pub(super) fn streams(artifact: &Artifact) -> bool {
    matches!(kind(artifact), Reads::Tiles | Reads::Rows)
}

/// What weights a variant takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Any, a word or a byte at a time.
    Words,
    /// Prepacked ones, 16 bytes at a time.
    Tiles,
    /// Those of 16 bits, 16 bytes at a time.
    Rows,
    /// Those of 16 bits, of which a launch before has made f16 that fits its matrices.
    Halves,
}

/// Does a launch before make f16 of rows of `a`?
pub(super) fn has_halves(artifact: &Artifact) -> bool {
    artifact.kernels.iter().any(|kernel| kernel.name == "grouped_halves")
}

pub(super) fn kind(artifact: &Artifact) -> Reads {
    match artifact.variant {
        "tiled_1" | "tiled_1_subgroup" | "tiled_4" | "tiled_f16" | "coop_16" | "coop_64" | "coop_128" | "coop8_16"
        | "coop8_64" => Reads::Tiles,
        "dense_1" | "dense_1_subgroup" | "dense_4" => Reads::Rows,
        "coop_dense" | "coop8_dense" => Reads::Halves,
        _ => Reads::Words,
    }
}

/// Can a variant run it at all?
pub(super) fn legal(op: &GroupedGemmSpec, artifact: &Artifact) -> Result<(), String> {
    let halves = matches!(op.epilogue, Epilogue::Swiglu(unit) if unit.layout == GateUp::Halves);
    if artifact.size("BLOCK_M") == 1 && op.rows == 0 {
        return Err("no workgroup would look at the offsets of no rows".into());
    }
    match (kind(artifact), op.weights) {
        (Reads::Tiles, WeightFormat::Mxfp4Tiled) if halves => {
            Err("a tile of prepacked weights has gates without their ups".into())
        }
        (Reads::Tiles, WeightFormat::Mxfp4Tiled) if has_halves(artifact) && op.a == DType::F32 => {
            Err("`a` is f32, which f16 does not hold".into())
        }
        (Reads::Tiles, WeightFormat::Mxfp4Tiled) | (Reads::Words, _) => Ok(()),
        (Reads::Tiles, _) => Err("takes prepacked MXFP4 weights".into()),
        (Reads::Rows, WeightFormat::Dense(DType::Bf16 | DType::F16)) => match op.k.is_multiple_of(8) {
            true => Ok(()),
            false => Err(format!("rows of weights are whole 16 bytes here, these have {} elements", op.k)),
        },
        (Reads::Halves, WeightFormat::Dense(DType::Bf16 | DType::F16)) => {
            if op.grouped {
                return Err("made for one set of weights, not for those of experts".into());
            }
            if op.epilogue != Epilogue::None {
                return Err("made for layers without a gated unit".into());
            }
            if op.a == DType::F32 {
                return Err("`a` is f32, which f16 does not hold".into());
            }
            match op.k.is_multiple_of(16) {
                true => Ok(()),
                false => Err(format!("rows are whole matrices of 16 here, these have {} elements", op.k)),
            }
        }
        (Reads::Rows | Reads::Halves, _) => Err("takes weights of bf16 and f16".into()),
    }
}

/// Tiles of 128 columns with which cooperative matrices fill a large device.
const MANY_TILES: usize = 256;

/// Does a layer have so few columns, as a router has, that its tiles of 4 rows and 16 columns are all under way at once? Matrices take 50 µs
/// for 32 columns, whether of 32 rows or 64, where such tiles take 12.
fn narrow(op: &GroupedGemmSpec) -> bool {
    op.rows.div_ceil(4).saturating_mul(op.n.div_ceil(16)) <= 256
}

/// Weights are read again for every BLOCK_M rows, and matrices that are not full cost as much as full ones. Where one takes over from
/// the other is measured on an H200 (docs/performance/wgpu.md).
pub(super) fn suits(op: &GroupedGemmSpec, artifact: &Artifact, hint: Hint<'_>) -> Result<(), String> {
    let each = hint.rows.unwrap_or(op.rows) as f64 / op.experts.max(1) as f64;
    let (least, most) = match artifact.variant {
        "tiled_1" | "tiled_1_subgroup" | "dense_1" | "dense_1_subgroup" => (0.0, 1.0),
        "coop_16" | "coop8_16" => (5.5, 12.0),
        "coop_64" => (12.0, 48.0),
        "coop_128" => (48.0, f64::INFINITY),
        "coop8_64" => (12.0, f64::INFINITY),
        "coop_dense" if op.n.div_ceil(128) >= MANY_TILES => (15.0, f64::INFINITY),
        "coop_dense" => (29.0, f64::INFINITY),
        "tiled_4" => (0.0, 40.0),
        "dense_4" if narrow(op) => (0.0, f64::INFINITY),
        "dense_4" => (0.0, 96.0),
        "few_rows" => (0.0, FEW_ROWS),
        _ => (0.0, f64::INFINITY),
    };
    if each > most {
        return Err(format!("made for up to {most} rows an expert, these are {each}"));
    }
    if each < least {
        return Err(format!("made for {least} rows an expert and more, these are {each}"));
    }
    match artifact.variant {
        "coop_dense" if narrow(op) => Err("not chosen: of so few columns other tiles are all under way at once".into()),
        "coop_16" | "coop_64" | "coop_128" | "coop_dense" => Ok(()),
        "tiled_f16" => Err("not chosen: f16 in workgroup memory is not faster, where it was measured".into()),
        "tiled_1_subgroup" | "dense_1_subgroup" => {
            Err("not chosen: shuffles are not faster, where they were measured".into())
        }
        _ if artifact.size("SIDE") != 1 => Err("not chosen: no device has shown its results right yet".into()),
        _ => Ok(()),
    }
}
