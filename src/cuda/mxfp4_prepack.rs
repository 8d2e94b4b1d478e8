//! MXFP4 weights in tiles: a warp a tile.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::mxfp4_prepack::{Params, blocks};
use crate::error::Error;
use crate::op::{Mxfp4PrepackArgs, Mxfp4PrepackSpec};

impl CudaOp for Mxfp4PrepackSpec {
    fn launch(plan: &Plan<Self>, args: Mxfp4PrepackArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [blocks(&plan.op, plan.artifact.warps), 1, 1], stream, &Params::new(&plan.op, &args)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::mxfp4::Tiled;
    use crate::tensor::{View, ViewMut};

    #[test]
    fn what_is_not_aligned_is_refused_in_words() {
        let op = Mxfp4PrepackSpec { experts: 2, n: 16, k: 64 };
        // SAFETY: nothing reads or writes these views.
        let made = |w: u64, scales: u64, tiles: u64| unsafe {
            let w = View::<Cuda>::from_raw(w, DType::E2m1x2, &[2, 16, 2, 16]);
            let scales = View::from_raw(scales, DType::E8m0, &[2, 16, 2]);
            let tiles = ViewMut::from_raw(tiles, DType::U8, &[2, Tiled::bytes(16, 64)]);
            Params::new(&op, &Mxfp4PrepackArgs::new(w, scales, tiles)).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(made(260, 3, 272), Ok(()));
        assert!(made(258, 0, 256).unwrap_err().contains("`w`: must be aligned to 4 bytes"));
        assert!(made(256, 0, 264).unwrap_err().contains("`tiles`: must be aligned to 16 bytes"));
        assert_eq!((blocks(&op, 8), blocks(&Mxfp4PrepackSpec { n: 130, ..op }, 8)), (1, 3));
    }
}
