//! MXFP4: 32 E2M1 elements share one power-of-two scale (OCP MX v1.0).
//!
//! `value = E2M1[code] · 2^(scale - 127)`; code = sign, two exponent bits, one mantissa bit. Scale 255 is NaN for its whole
//! block; loaders refuse it ([`check_scales`]). Blocks run along the contraction axis K.
//!
//! Three layouts hold the same codes and scales, and convert without loss: [`OpenAi`] (checkpoints), [`Gguf`], [`Tiled`]
//! (prepacked for tensor cores).

mod encode;
mod layout;
mod tiled;

pub use encode::{Encoded, ScaleRule, encode};
pub use layout::{Gguf, Layout, OpenAi, to_gguf, to_openai};
pub use tiled::{Tiled, check_tiled_scales, tiled_experts, to_tiled};

use crate::error::Error;
use crate::mutation::{Rule, wrong};

/// Elements that share a scale.
pub const BLOCK: usize = 32;

/// The sixteen element values by code; code 8 is negative zero.
pub const E2M1: [f32; 16] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// The scale byte that means NaN.
pub const SCALE_NAN: u8 = 255;

/// Value of a scale byte: 2^(byte - 127), exact in f64; NaN for 255.
pub fn scale_value(byte: u8) -> f64 {
    let bias = if wrong(Rule::E8m0Bias128) { 128 } else { 127 };
    match byte {
        SCALE_NAN if !wrong(Rule::Scale255Is2p128) => f64::NAN,
        0 if wrong(Rule::Scale0IsZero) => 0.0,
        _ => 2f64.powi(i32::from(byte) - bias),
    }
}

/// One block, whatever layout it came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Codes in element order, one a byte.
    pub codes: [u8; BLOCK],
    /// Scale byte.
    pub scale: u8,
}

impl Block {
    /// The 32 values, exact.
    pub fn values(&self) -> [f64; BLOCK] {
        let scale = scale_value(self.scale);
        self.codes.map(|code| f64::from(E2M1[usize::from(code & 15)]) * scale)
    }
}

/// Refuses scale bytes that are NaN.
///
/// # Errors
/// The tensor and the index of its first such byte.
pub fn check_scales(tensor: &str, scales: &[u8]) -> Result<(), Error> {
    scales.iter().position(|s| *s == SCALE_NAN).map_or(Ok(()), |index| Err(nan_scale(tensor, index)))
}

fn nan_scale(tensor: &str, index: usize) -> Error {
    Error::input(
        format!("tensor {tensor}"),
        format!("block scale {index} is 255, which is NaN in MXFP4 (OCP MX v1.0): the checkpoint is damaged"),
    )
}
