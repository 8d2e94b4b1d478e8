//! MXFP4 weights in tiles: the conversion of the host, an expert at a time.

use super::Arithmetic;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::mxfp4::{OpenAi, to_tiled};
use crate::op::{Mxfp4PrepackArgs, Mxfp4PrepackSpec};

provide!(Mxfp4PrepackSpec, run);

fn run<R: Real>(op: &Mxfp4PrepackSpec, mut args: Mxfp4PrepackArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (blocks, scales) = (Rows::new(&args.w), Rows::new(&args.w_scales));
    let mut tiles = RowsMut::new(&mut args.tiles);
    for e in 0..op.experts {
        let (blocks, scales) = (blocks.bytes(e, 0, blocks.len()), scales.bytes(e, 0, scales.len()));
        let expert = to_tiled(&OpenAi::new(blocks, scales, op.n, op.k)?);
        tiles.piece(e, 0, expert.len()).write_bytes(&expert);
    }
    Ok(())
}
