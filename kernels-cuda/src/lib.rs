//! The kernels that `dropless` ships for its cuda backend, as data: no dependency, no build script, nothing to install.
//! The sources, the table they are compiled from and the LOCK that ties both to the PTX lie beside it.

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
    /// Lowest compute capability it runs on, times ten.
    pub sm: u16,
    /// It runs on exactly that compute capability ("a" targets).
    pub exact: bool,
    /// PTX version times ten: what the driver must understand.
    pub ptx_version: u16,
    /// Kernels, in the order they are launched.
    pub entries: &'static [&'static CStr],
    /// Warps of a block.
    pub warps: u32,
    /// Tile height; 0 where the kernel has none. What it counts stands in variants.toml.
    pub block_m: u32,
    /// Tile width.
    pub block_n: u32,
    /// Tile depth.
    pub block_k: u32,
    /// Pipeline stages.
    pub stages: u32,
    /// Its kernels wait themselves for the launch before them (programmatic dependent launch): they may start while it runs.
    pub pdl: bool,
    /// The PTX, with a NUL at its end, as drivers want it.
    pub ptx: &'static str,
}
