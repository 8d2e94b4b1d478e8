//! The kernels that `dropless` ships for its wgsl backend, as data: no dependency, no build script, nothing to install.

/// One kernel: WGSL source of one variant.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// Op it belongs to.
    pub op: &'static str,
    /// Name of the variant, unique within the op.
    pub variant: &'static str,
    /// Architecture it was made for, in wgpu's own words.
    pub arch: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// Every kernel in this crate. This version ships none; the backend says so wherever it is asked to run something.
pub const ARTIFACTS: &[Artifact] = &[];
