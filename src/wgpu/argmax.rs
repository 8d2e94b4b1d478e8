//! The largest element of each row: of parts of it, a workgroup each, then of what they found.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::op::ArgmaxSpec;
use dropless_kernels_wgsl::Artifact;

/// Columns of a part: a vocabulary has enough of them to fill a large GPU.
const EACH: usize = 1024;

impl WgpuOp for ArgmaxSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let parts = self.columns.div_ceil(EACH);
        let (all, sizes) = (self.rows.saturating_mul(parts), [("parts", parts)]);
        let scratch = all.saturating_mul(8);
        let found = |launch: Launch| launch.scratch("found", Kind::Ints, 0..scratch, 0).sizes(sizes);
        let look = found(Launch::new("argmax_parts", all)).reads("x", self.x);
        let look = look.sizes([("columns", self.columns), ("each", EACH)]);
        Ok(Launches { list: vec![look, found(Launch::new("argmax", self.rows)).ints(["ids"])], scratch })
    }
}
