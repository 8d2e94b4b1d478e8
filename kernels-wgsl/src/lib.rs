//! The kernels that `dropless` ships for its wgsl backend, as data: no dependency, no build script, nothing to install.
//!
//! A kernel is a file of its own. The backend puts in front of it what the spec decides: the variant's constants, the
//! operands' bindings and the functions `load_x`, `store_y`, ... that read and write them in their types.

/// One variant of an op.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// Op it belongs to.
    pub op: &'static str,
    /// Name of the variant, unique within the op.
    pub variant: &'static str,
    /// Features of the device that it needs, in wgpu's own words; none: WebGPU's defaults are enough.
    pub needs: &'static [&'static str],
    /// Names of the [`PROBES`] that a driver must have passed.
    pub relies: &'static [&'static str],
    /// Sizes that the kernels are generated with, and that the host computes grids from.
    pub sizes: &'static [(&'static str, u32)],
    /// The kernels of one call.
    pub kernels: &'static [Kernel],
}

impl Artifact {
    /// A size by its name; 1 where the variant has none of that name.
    pub fn size(&self, name: &str) -> u32 {
        self.sizes.iter().find(|(n, _)| *n == name).map_or(1, |(_, size)| *size)
    }
}

/// One entry point: its name, and the files that its text consists of.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Name of the entry point.
    pub name: &'static str,
    /// WGSL, in order.
    pub files: &'static [&'static str],
}

macro_rules! kernel {
    ($name:literal: $($file:literal),+) => {
        Kernel { name: $name, files: &[$(include_str!(concat!("../", $file))),+] }
    };
}

/// A small computation that tells whether a driver can be relied on: entry point `probe`, one workgroup, one buffer of words.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name, as in [`Artifact::relies`].
    pub name: &'static str,
    /// Features of the device that it needs.
    pub needs: &'static [&'static str],
    /// Rows and columns of the cooperative matrices that it multiplies; 0: none.
    pub side: u32,
    /// WGSL, in order.
    pub files: &'static [&'static str],
}

mod table;

pub use table::{ARTIFACTS, PROBES};

/// What the functions that the backend generates call: conversions of numbers of 16 bits.
pub const CONVERT: &str = include_str!("../include/convert.wgsl");
