//! MXFP4 weights in tiles: an invocation sixteen bytes of a tile; experts by as many as are bound together.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::dtype::DType;
use crate::mxfp4::Tiled;
use crate::op::{Mxfp4PrepackSpec, Op};
use dropless_kernels_wgsl::Artifact;

impl WgpuOp for Mxfp4PrepackSpec {
    fn limits(&self) -> Result<(), String> {
        match self.n.saturating_mul(self.k) > u32::MAX as usize {
            true => Err(format!("{} rows of {} are more than 2^32 elements", self.n, self.k)),
            false => Ok(()),
        }
    }

    fn windowed(&self, _: &str) -> bool {
        true
    }

    fn launches(&self, artifact: &Artifact, device: &Capabilities) -> Result<Launches, String> {
        let each = self.operands().iter().map(|o| o.shape.row_len() * o.dtype.bytes()).max().unwrap_or(1).max(1);
        // A binding may begin up to an alignment in front of the first expert.
        let most = device.limits.max_storage_buffer_binding_size.saturating_sub(256) as usize;
        let window = most / each;
        if window == 0 {
            return Err(format!("an expert takes {each} bytes, the device binds up to {most}"));
        }
        let mut list = Vec::new();
        for first in (0..self.experts).step_by(window) {
            let bound = first..self.experts.min(first + window);
            let vectors = bound.len() * Tiled::bytes(self.n, self.k) / 16;
            let launch = Launch::new("mxfp4_prepack", vectors.div_ceil(artifact.size("THREADS") as usize))
                .window("w", Kind::Bytes, bound.clone())
                .window("w_scales", Kind::Bytes, bound.clone())
                .window("tiles", Kind::Vectors(DType::U8), bound)
                .sizes([("vectors", vectors), ("n", self.n), ("k", self.k)])
                .sizes([("bands", self.n.div_ceil(16)), ("across", self.k.div_ceil(64))]);
            list.push(launch);
        }
        Ok(Launches { list, scratch: 0 })
    }
}
