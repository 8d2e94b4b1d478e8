//! The kernels that `dropless` ships for its hip backend, as data: no dependency, no build script, nothing to install.
//! The table they are compiled from and the LOCK that ties it and the sources to the code objects lie beside it.

mod artifacts;
mod estimates;

pub use artifacts::ARTIFACTS;
pub use estimates::ESTIMATES;

use std::ffi::CStr;

/// One row of the tile table, compiled.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// NAMEs of the ops it serves.
    pub ops: &'static [&'static str],
    /// Name of the variant, unique within an op.
    pub variant: &'static str,
    /// Kernels, in the order they are launched.
    pub entries: &'static [&'static CStr],
    /// Groups of 32 threads of a block.
    pub warps: u32,
    /// Tile height; 0 where the kernel has none. What it counts stands in variants.toml.
    pub block_m: u32,
    /// Tile width.
    pub block_n: u32,
    /// Tile depth.
    pub block_k: u32,
    /// Where it is for targets without matrix units too: its source in one text that ends with a NUL, for hipRTC.
    pub source: Option<&'static str>,
    /// One code object a target.
    pub objects: &'static [Object],
}

/// The code object of one target.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// The target, in AMD's own words: gfx942.
    pub arch: &'static str,
    /// An ELF file.
    pub bytes: &'static [u8],
}

/// What all waves of a compute unit do in the time of one step each of a kernel's main loop, and the clocks that this takes of
/// each part of the unit. Estimated from the compiled code, not measured.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The first of the variant's ops.
    pub op: &'static str,
    /// Name of the variant.
    pub variant: &'static str,
    /// The target: gfx942.
    pub arch: &'static str,
    /// The kernel.
    pub entry: &'static CStr,
    /// Waves that a compute unit holds at once.
    pub waves: u32,
    /// Operations of the matrix units; 0 where it does not use them.
    pub flops: u64,
    /// Bytes loaded from memory.
    pub bytes: u64,
    /// Clocks of the matrix units.
    pub matrix: u64,
    /// Clocks of the vector units, which start matrix instructions too.
    pub vector: u64,
    /// Clocks of the LDS.
    pub lds: u64,
    /// Clocks of what L2 can give.
    pub l2: u64,
    /// Clocks of a wave's own step, in which one instruction waits for another: with loads from L2, and from memory.
    pub chain: [u64; 2],
}
