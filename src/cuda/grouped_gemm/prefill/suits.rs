//! When a variant of this kind is chosen. Measured on an H200.

use super::Prefill;
use crate::backend::{DeviceInfo, Hint};
use crate::cuda::grouped_gemm::rows_each;
use crate::op::GroupedGemmSpec;

/// Rows of the tiles that take any number.
const LARGEST: u32 = 192;
/// Of dense weights: fewest rows an expert for wgmma, and most for the smaller tiles.
const DENSE_LEAST: usize = 8;
const DENSE_FEW: usize = 64;
/// Weight rows of the tiles for linear layers, which have more rows of `a` than the smaller tiles are for.
const LINEAR: u32 = 128;
/// Fewest tiles, as a part of the multiprocessors: of experts, of a linear layer.
const LEAST_GROUPED: usize = 4;
const LEAST_LINEAR: usize = 6;

impl Prefill<'_> {
    /// Small tiles have more stages in the same memory; large ones read or convert a weight for more rows. Where they do not
    /// occupy the device, dense weights are better off with a variant that splits K. Measured on an H200.
    ///
    /// # Errors
    /// Why another one does, in words.
    pub(in crate::cuda::grouped_gemm) fn suits(
        self,
        op: &GroupedGemmSpec,
        device: &DeviceInfo,
        hint: Hint<'_>,
    ) -> Result<(), String> {
        let each = rows_each(op, hint);
        let most = match (self.artifact.block_m, self.dense) {
            (LARGEST, _) => usize::MAX,
            (_, true) => DENSE_FEW,
            (block_m, false) => block_m as usize,
        };
        if each > most {
            return Err(format!("is for up to {most} rows an expert, these are {each}"));
        }
        if !self.dense {
            return Ok(());
        }
        if each < DENSE_LEAST {
            return Err(format!("is for {DENSE_LEAST} rows an expert or more, these are {each}"));
        }
        if self.artifact.block_n == LINEAR {
            linear(op, each, device)?;
        }
        let row_tiles = op.rows.min(op.local.count) * each.div_ceil(self.artifact.block_m as usize);
        let tiles = row_tiles * op.n.div_ceil(self.artifact.block_n as usize);
        let least = if op.grouped { LEAST_GROUPED } else { LEAST_LINEAR };
        if tiles < device.units as usize / least {
            return Err(format!("has {tiles} tiles for {} multiprocessors", device.units));
        }
        Ok(())
    }
}

/// One group, where tiles of fewer weight rows leave less of the device idle in the last round than the larger ones. Measured on
/// an H200 from 64 to 8192 rows.
///
/// # Errors
/// Why another variant does, in words.
fn linear(op: &GroupedGemmSpec, each: usize, device: &DeviceInfo) -> Result<(), String> {
    if op.grouped || each <= DENSE_FEW {
        return Err(format!("is for linear layers of more than {DENSE_FEW} rows"));
    }
    let rounds = |rows: u32| {
        let tiles = op.n.div_ceil(rows as usize) * each.div_ceil(LARGEST as usize);
        tiles.div_ceil(device.units.max(1) as usize)
    };
    let (small, large) = (rounds(LINEAR), rounds(LARGEST));
    if small * LINEAR as usize >= large * LARGEST as usize {
        return Err(format!("takes {small} rounds of tiles, one of {LARGEST} weight rows {large}"));
    }
    Ok(())
}
