//! The kernels that `dropless` ships for its hip backend, as data: no dependency, no build script, nothing to install.
//! The table they are compiled from and the LOCK that ties it and the sources to the code objects lie beside it.

mod artifacts;

pub use artifacts::ARTIFACTS;

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
