//! The variant for a linear layer on a few rows: dot products, each weight read once, straight to registers.

use super::Params;
use crate::backend::DeviceInfo;
use crate::cuda::plan::Plan;
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Epilogue, GroupedGemmArgs, WeightFormat};
use dropless_kernels_cuda::Artifact;

const VARIANT: &str = "vector";
/// Weight rows of a warp: `COLUMNS` of vector.cu.
const COLUMNS: usize = 2;
/// Warps that occupy a multiprocessor: they have 8 KB of weights under way each.
const ENOUGH_WARPS: usize = 16;

#[derive(Clone, Copy)]
pub(super) struct Vector<'a>(&'a Artifact);

impl<'a> Vector<'a> {
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        (artifact.variant == VARIANT).then_some(Vector(artifact))
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        let most = self.0.block_m as usize;
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
    /// Why not, in words.
    pub(super) fn suits(self) -> Result<(), String> {
        Err("not chosen: not measured yet".into())
    }

    /// Warps that share the same weight rows: as many as occupy the device.
    fn splits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let (owners, enough) = (op.n.div_ceil(COLUMNS).max(1), ENOUGH_WARPS * device.units.max(1) as usize);
        let wanted = enough.div_ceil(owners).next_power_of_two();
        wanted.min(self.0.warps.max(1) as usize)
    }

    pub(super) fn launch(
        self,
        plan: &Plan<GroupedGemmSpec>,
        args: &GroupedGemmArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        let splits = self.splits(op, plan.info());
        let params = Params { splits: splits as i32, ..Params::new(op, args, 1, 0) };
        // One, two, four, eight rows; bf16 before f16.
        let kernel = op.rows.next_power_of_two().trailing_zeros() as usize + if op.a == DType::F16 { 4 } else { 0 };
        let columns = COLUMNS * (self.0.warps.max(1) as usize / splits).max(1);
        let blocks = if op.rows == 0 { 0 } else { op.n.div_ceil(columns) };
        plan.record(kernel, [blocks, 1, 1], stream, &params)
    }
}
