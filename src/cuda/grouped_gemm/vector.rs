//! The variants for a linear layer on a few rows, whose weights go straight to registers: dot products, and tensor cores.

use super::MAX_GRID_Y;
use crate::backend::DeviceInfo;
use crate::backend::params::grouped_gemm::Params;
use crate::cuda::plan::Plan;
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Epilogue, GroupedGemmArgs, WeightFormat};
use dropless_kernels_cuda::Artifact;

const DOT_PRODUCTS: [&str; 2] = ["sm90_vector", "vector"];
const TENSOR_CORES: &str = "sm90_rows";
/// Weight rows of a warp: `COLUMNS` of vector.cu.
const COLUMNS: usize = 2;
/// Warps that occupy a multiprocessor: they have 8 KB of weights under way each.
const ENOUGH_WARPS: usize = 16;

/// Rows up to which dot products are the cheapest for any number of columns, beside tensor cores without tiles and where there are none, and columns up to which they are for all their rows.
/// These and the next are measured on 5120 x 2880, 2880 x 4096 and 32 x 2880.
const FEW_ROWS: (usize, usize) = (1, 2);
const NARROW: usize = 1024;
/// Rows up to which tensor cores without tiles are, and up to which they are for few columns; columns up to which they are measured.
const SOME_ROWS: usize = 32;
const NARROW_ROWS: usize = 256;
const WIDE: usize = 16_384;

#[derive(Clone, Copy)]
pub(super) struct Vector<'a>(&'a Artifact);

impl<'a> Vector<'a> {
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        let known = artifact.variant == TENSOR_CORES || DOT_PRODUCTS.contains(&artifact.variant);
        known.then_some(Vector(artifact))
    }

    fn tensor_cores(self) -> bool {
        self.0.variant == TENSOR_CORES
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        let most = self.0.block_m as usize * if self.tensor_cores() { MAX_GRID_Y } else { 1 };
        if op.rows > most {
            return Err(format!("takes up to {most} rows, these are {}", op.rows));
        }
        if op.grouped || op.gather.is_some() || op.combine.is_some() || op.epilogue != Epilogue::None {
            return Err("takes one expert, without gather, combine or SwiGLU".into());
        }
        if !matches!(op.a, DType::Bf16 | DType::F16) || op.weights != WeightFormat::Dense(op.a) {
            return Err(format!("takes bf16 or f16 of both alike, they are {} and {:?}", op.a, op.weights));
        }
        if !op.k.is_multiple_of(8) {
            return Err(format!("takes k in eights, it is {}", op.k));
        }
        Ok(())
    }

    /// # Errors
    /// What is cheaper otherwise, in words.
    pub(super) fn suits(self, op: &GroupedGemmSpec) -> Result<(), String> {
        if self.tensor_cores() {
            let most = if op.n > NARROW { SOME_ROWS } else { NARROW_ROWS };
            if op.rows > most || op.n > WIDE {
                let (rows, n) = (op.rows, op.n);
                return Err(format!(
                    "tiles are cheaper for more than {most} rows, and for more than {WIDE} columns: {rows} x {n}"
                ));
            }
            return Ok(());
        }
        // Every warp reads all rows of `a`.
        let few = if self.0.pdl { FEW_ROWS.0 } else { FEW_ROWS.1 };
        if op.rows > few && op.n > NARROW {
            let (rows, n) = (op.rows, op.n);
            return Err(format!("others are cheaper for more than {few} rows on {n} columns, these are {rows}"));
        }
        Ok(())
    }

    /// Warps that share the same weight rows: as many as occupy the device.
    fn splits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let (owners, enough) = (op.n.div_ceil(COLUMNS).max(1), ENOUGH_WARPS * device.units.max(1) as usize);
        let wanted = enough.div_ceil(owners).next_power_of_two();
        wanted.min(self.0.warps.max(1) as usize)
    }

    /// Rows of a block on tensor cores, and whether it has twice the columns.
    fn tile(self, op: &GroupedGemmSpec) -> (usize, bool) {
        let most = self.0.block_m.max(1) as usize;
        let rows = op.rows.next_power_of_two().clamp(8, most);
        (rows, rows == most && op.n > NARROW)
    }

    /// Which of the kernels: for one, two, four, eight rows, or for eight, sixteen, 32, and 32 of twice the columns; bf16 before f16.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        let (rows, wide) = if self.tensor_cores() { self.tile(op) } else { (8 * op.rows.next_power_of_two(), false) };
        (rows / 8).trailing_zeros() as usize + usize::from(wide) + if op.a == DType::F16 { 4 } else { 0 }
    }

    pub(super) fn launch(
        self,
        plan: &Plan<GroupedGemmSpec>,
        args: &GroupedGemmArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        if self.tensor_cores() {
            return self.launch_tensor_cores(plan, args, stream);
        }
        let splits = self.splits(op, plan.info());
        let params = Params { splits: splits as i32, ..Params::new(op, args, 1, 0) };
        let columns = COLUMNS * (self.0.warps.max(1) as usize / splits).max(1);
        let blocks = if op.rows == 0 { 0 } else { op.n.div_ceil(columns) };
        plan.record(self.kernel(op), [blocks, 1, 1], stream, &params)
    }

    fn launch_tensor_cores(
        self,
        plan: &Plan<GroupedGemmSpec>,
        args: &GroupedGemmArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        let (rows, wide) = self.tile(op);
        let columns = self.0.block_n.max(1) as usize * if wide { 2 } else { 1 };
        let grid = [op.n.div_ceil(columns), op.rows.div_ceil(rows), 1];
        plan.record(self.kernel(op), grid, stream, &Params::new(op, args, 1, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Arch, Hint};
    use crate::cuda::choose::choose;

    fn variant(op: &GroupedGemmSpec, sm: u16) -> &'static str {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 132, shared_bytes: 232_448 };
        choose(op, &device, 80, Hint::default()).unwrap().variant()
    }

    #[test]
    fn a_few_rows_of_a_linear_layer_need_no_tiles() {
        let linear = |rows, k| GroupedGemmSpec::linear(rows, 5120, k, DType::Bf16, DType::Bf16, None, DType::F32);
        assert_eq!([75, 80, 90].map(|sm| variant(&linear(1, 2880), sm)), ["vector", "vector", "sm90_vector"]);
        let router = |rows| GroupedGemmSpec { n: 32, ..linear(rows, 2880) };
        assert_eq!(variant(&router(8), 90), "sm90_vector");
        assert_eq!([linear(2, 2880), linear(8, 2880), router(256)].map(|op| variant(&op, 90)), [TENSOR_CORES; 3]);
        assert_eq!(variant(&linear(2, 2880), 75), "vector", "where there are no others");
        assert_eq!(variant(&linear(32, 2880), 100), TENSOR_CORES, "where K is not split among blocks");
        let others =
            [linear(33, 2880), router(257), linear(1, 2884), GroupedGemmSpec { a: DType::F32, ..linear(1, 2880) }];
        for op in others {
            let chosen = variant(&op, 90);
            assert!(chosen != TENSOR_CORES && !DOT_PRODUCTS.contains(&chosen), "{op:?}: {chosen}");
        }
    }

    #[test]
    fn warps_share_where_there_are_few() {
        let device = DeviceInfo { name: "test".into(), arch: Arch::Sm(90), units: 132, shared_bytes: 232_448 };
        let artifact = dropless_kernels_cuda::ARTIFACTS.iter().find(|a| DOT_PRODUCTS.contains(&a.variant)).unwrap();
        let splits = |n| {
            let op = GroupedGemmSpec::linear(1, n, 2880, DType::Bf16, DType::Bf16, None, DType::F32);
            Vector(artifact).splits(&op, &device)
        };
        assert_eq!([32, 2880, 5120, 201_088].map(splits), [8, 2, 1, 1]);
    }
}
