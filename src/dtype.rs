//! Element types of operands.

pub(crate) mod e4m3;

use std::fmt;

/// Element type of a tensor. Names follow safetensors; sub-byte types are stored in the bytes named here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// IEEE binary64. The CPU oracle only; no accelerated backend takes it.
    F64,
    /// IEEE binary32.
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE binary16.
    F16,
    /// e4m3 of OCP: one byte, largest number 448, no infinities, NaN 0x7f. Caches of keys and values; larger numbers are
    /// stored as the largest.
    F8E4m3,
    /// Signed 32-bit index, the field's convention for offsets, ids, lengths and page tables.
    I32,
    /// Unsigned 32-bit word: the device status word.
    U32,
    /// Raw bytes: scratch, GGUF and prepacked weights.
    U8,
    /// One byte holding two E2M1 codes (MXFP4 elements).
    E2m1x2,
    /// One byte holding a power-of-two block scale, 2^(byte - 127); 255 is NaN.
    E8m0,
}

impl DType {
    /// Size of one stored element in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::Bf16 | DType::F16 => 2,
            DType::F8E4m3 | DType::U8 | DType::E2m1x2 | DType::E8m0 => 1,
        }
    }

    /// True for the four floating-point types that activations, weights and outputs may have.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::Bf16 | DType::F16)
    }

    /// Largest relative error of one correct rounding to this type (half a unit in the last place, normal range).
    /// Zero for types that are not floating point.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F64 => 1.0 / (1u64 << 53) as f64,
            DType::F32 => 1.0 / (1u64 << 24) as f64,
            DType::Bf16 => 1.0 / (1u64 << 8) as f64,
            DType::F16 => 1.0 / (1u64 << 11) as f64,
            DType::F8E4m3 => 1.0 / (1u64 << 4) as f64,
            _ => 0.0,
        }
    }

    /// Smallest positive value of this type (a subnormal); zero for types that are not floating point.
    pub fn smallest(self) -> f64 {
        match self {
            DType::F64 => f64::from_bits(1),
            DType::F32 => f32::from_bits(1) as f64,
            DType::Bf16 => half::bf16::from_bits(1).to_f64(),
            DType::F16 => half::f16::from_bits(1).to_f64(),
            DType::F8E4m3 => e4m3::decode(1).into(),
            _ => 0.0,
        }
    }

    /// `x` rounded once to this type (to nearest, ties to even). Other than floating-point types: unchanged.
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => x as f32 as f64,
            DType::Bf16 => half::bf16::from_f32(to_odd_f32(x)).to_f64(),
            DType::F16 => half::f16::from_f32(to_odd_f32(x)).to_f64(),
            DType::F8E4m3 => e4m3::decode(e4m3::encode(x)).into(),
            _ => x,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::F8E4m3 => "f8e4m3",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::U8 => "u8",
            DType::E2m1x2 => "e2m1x2",
            DType::E8m0 => "e8m0",
        })
    }
}

/// `x` in f32, its last bit set where that is not exact. Rounding the result to bf16 or f16 then gives what rounding `x` once
/// would; by way of the nearest f32 it would be rounded twice.
pub(crate) fn to_odd_f32(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x || !near.is_finite() {
        return near;
    }
    let away_from_zero = f64::from(near).abs() > x.abs();
    f32::from_bits((near.to_bits() - u32::from(away_from_zero)) | 1)
}

/// A real parameter of an op (alpha, epsilon, softmax scale), compared and hashed by its bits so that specs can be keys.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub f64);

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl From<f64> for Scalar {
    fn from(x: f64) -> Self {
        Scalar(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f64_is_rounded_once() {
        let (half_way, tiny) = (1.0 + 2f64.powi(-8), 2f64.powi(-40));
        assert_eq!([half_way - tiny, half_way, half_way + tiny].map(|x| DType::Bf16.round(x)), [1.0, 1.0, 1.0078125]);
        let half_way = 1.0 + 2f64.powi(-11);
        assert_eq!([half_way, half_way + tiny].map(|x| DType::F16.round(-x)), [-1.0, -1.0009765625]);
        assert_eq!([1e-60, -1e-60, 1e300].map(|x| DType::Bf16.round(x)), [0.0, -0.0, f64::INFINITY]);
    }
}
