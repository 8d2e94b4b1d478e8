//! The tensor-core variants from compute capability 7.5 on: every 16-bit type, as f16 that is rebased block by block.

use crate::backend::{DeviceInfo, Hint};
use crate::dtype::DType;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Epilogue, GateUp, WeightFormat};
use dropless_kernels_cuda::Artifact;

/// Bytes of `Schedule` of schedule.cuh.
const SCHEDULE: u32 = 2 * 513 * 4;
/// Rows of the narrow tile.
const DECODE: u32 = 16;
/// Rows an expert up to which it is faster: four of its tiles cost as much as a wide one.
const FEW_ROWS: usize = 48;
/// Steps that a part of a split K has at least.
const MIN_STEPS: usize = 8;
/// Most parts of K.
const MAX_SPLITS: usize = 8;

/// A variant of sm75.cu.
#[derive(Clone, Copy)]
pub(super) struct Rebased<'a>(&'a Artifact);

impl<'a> Rebased<'a> {
    /// The rows of the table with a pipeline on 7.5.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        (artifact.sm == 75 && artifact.stages > 0).then_some(Rebased(artifact))
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        let half = |of: DType| matches!(of, DType::Bf16 | DType::F16);
        if !half(op.a) {
            return Err(format!("multiplies 16-bit types, `a` is {}", op.a));
        }
        match (op.weights, op.epilogue) {
            (WeightFormat::Dense(of), _) if !half(of) => Err(format!("multiplies 16-bit types, `w` is {of}")),
            (WeightFormat::Mxfp4Tiled, Epilogue::Swiglu(s)) if s.layout == GateUp::Halves => {
                Err("does not take prepacked weights with gate and up in halves: their tiles hold one of the two"
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// That the other tile is better for so many rows, in words.
    pub(super) fn suits(self, op: &GroupedGemmSpec, hint: Hint<'_>) -> Result<(), String> {
        let rows = hint.rows.unwrap_or(op.rows);
        let each = rows.div_ceil(rows.min(op.local.count).max(1));
        if (each <= FEW_ROWS) == (self.0.block_m <= DECODE) {
            return Ok(());
        }
        Err(format!("tiles of {} rows, an expert has about {each}", self.0.block_m))
    }

    /// Tiles over rows that lie evenly with their experts, or most of them that there can be.
    fn tiles(self, op: &GroupedGemmSpec, most: bool) -> usize {
        let experts = op.rows.min(op.local.count).max(1);
        let block_m = self.0.block_m.max(1) as usize;
        let row_tiles = if most {
            (op.rows / block_m).saturating_add(1 + if op.grouped { op.experts.min(op.rows) } else { 0 })
        } else {
            experts * op.rows.div_ceil(experts).div_ceil(block_m)
        };
        row_tiles.saturating_mul(op.n.div_ceil(self.0.block_n.max(1) as usize))
    }

    /// Blocks that the device runs at a time.
    fn resident(self, device: &DeviceInfo) -> usize {
        let by_memory = device.shared_bytes / self.shared_bytes();
        let by_threads = 1024 / (32 * self.0.warps);
        by_memory.min(by_threads).max(1) as usize * device.units.max(1) as usize
    }

    /// Parts of K: as many as there are idle blocks for.
    pub(super) fn splits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let idle = device.units.max(1) as usize / self.tiles(op, false).max(1);
        let most = (op.k / (self.0.block_k as usize * MIN_STEPS)).clamp(1, MAX_SPLITS);
        idle.clamp(1, most)
    }

    /// Blocks of the grid: each takes tile after tile.
    pub(super) fn blocks(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        self.tiles(op, true).saturating_mul(self.splits(op, device)).clamp(1, self.resident(device))
    }

    /// The constants of sm75.cu and what follows them.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, .. } = *self.0;
        let (staged, tile) = (2 * (block_m + block_n) * (2 * block_k + 8), 4 * block_m * (block_n + 4));
        staged.max(tile) + 8 * block_m + 4 * block_n + SCHEDULE
    }

    /// Index of the kernel among the variant's entries.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        match op.weights {
            WeightFormat::Dense(_) => 0,
            WeightFormat::Mxfp4 => 1,
            WeightFormat::Mxfp4Gguf => 2,
            WeightFormat::Mxfp4Tiled => 3,
        }
    }
}

/// The rule of include/rebase.cuh and the bounds of stage_sm75.cuh, worked out for every exponent.
#[cfg(test)]
mod tests {
    use super::*;

    const SHIFT: i32 = 24;
    /// Exponents of scales: `LEAST_DENSE`, `LEAST_MXFP4`, `LEAST_WEIGHT`.
    const LEAST: [i32; 3] = [-77, -116, -126];
    const MOST_WEIGHT: i32 = 127 - SHIFT;

    /// The scale that brings a number of biased exponent `top` just below 2^16.
    fn exponent(top: i32) -> i32 {
        top - 127 - 15
    }

    /// bf16 of a biased exponent above zero and a mantissa.
    fn bf16(biased: i32, mantissa: i32) -> f64 {
        (1.0 + f64::from(mantissa) / 128.0) * f64::from(biased - 127).exp2()
    }

    fn as_f16(x: f64, exponent: i32) -> f64 {
        DType::F16.round(x * f64::from(-exponent).exp2()) * f64::from(exponent).exp2()
    }

    #[test]
    fn what_fits_is_exact_and_no_more_fits() {
        for top in 1..255 {
            for bottom in (top - 32).max(1)..=top {
                for mantissa in 0..128 {
                    let x = bf16(bottom, mantissa);
                    assert_eq!(as_f16(x, exponent(top)), x, "2^({bottom} - 127) beside 2^({top} - 127)");
                }
            }
            let (odd, below) = (127, top - 33);
            assert!(below < 1 || as_f16(bf16(below, odd), exponent(top)) != bf16(below, odd), "{top}");
        }
    }

    /// The least bit of a product of two f16 is 2^-48, of a code 2^-9 in its unit: times the scale of `a` alone it stays a
    /// number of f32. Sums of 32 stay below 2^128 then, where |a| < 2^128 meets weights below 2^16 or codes below 2^-5.
    #[test]
    fn scales_and_scaled_sums_are_numbers_of_f32() {
        let [dense, mxfp4, weight] = LEAST;
        let number =
            |low: i32, high: i32| f64::from(low).exp2() as f32 > 0.0 && (f64::from(high).exp2() as f32).is_finite();
        assert!(number(dense - SHIFT - 48, 127 + 16 + 5 - SHIFT));
        assert!(number(mxfp4 - 24 - 9, 127 - 5 + 5));
        let normal = |e: i32| (f64::from(e).exp2() as f32).is_normal();
        assert!(normal(weight + SHIFT) && normal(MOST_WEIGHT + SHIFT));
        assert!(LEAST.into_iter().chain([exponent(254)]).all(|e| normal(e) && normal(-e)));
    }

    #[test]
    fn numbers_of_either_end_fit_beside_their_like() {
        let biased = |x: f64| x.log2().floor() as i32 + 127;
        for x in [1e-30, 1e30] {
            assert!(exponent(biased(x)) >= LEAST[1] && exponent(biased(x)) <= MOST_WEIGHT, "{x}");
        }
    }
}
