//! Operands of prepacking: any bytes, any scales.

use super::{Bound, Conform, Inputs};
use crate::dtype::DType;
use crate::error::Error;
use crate::mxfp4::BLOCK;
use crate::op::Mxfp4PrepackSpec;
use crate::op::cases::Data;
use crate::testing::harness::Outputs;
use crate::testing::random::Random;

impl Conform for Mxfp4PrepackSpec {
    fn fill(&self, _: Data, random: &mut Random) -> Result<Inputs, Error> {
        let (e, n, blocks) = (self.experts, self.n, self.k / BLOCK);
        Ok(vec![
            ("w", random.bytes(DType::E2m1x2, &[e, n, blocks, 16])?),
            ("w_scales", random.bytes(DType::E8m0, &[e, n, blocks])?),
        ])
    }

    fn oracle(&self) -> Self {
        *self
    }

    fn bounds(&self, _: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        Ok(vec![("tiles", Bound::Exact)])
    }
}
