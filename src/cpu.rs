//! The reference: plain loops that say what each op means.
//!
//! Three arithmetics run the same loops: [`Arithmetic::Oracle`] in f64, the definition that everything is compared with;
//! [`Arithmetic::Single`] in f32, what `Cpu::new` gives; [`Arithmetic::Twin`] in f32 as an accelerated kernel has to compute:
//! the probabilities of attention rounded, sums over products of 16-bit activations cut off as tensor cores do. Tolerances are
//! derived from it. Rows run in parallel; the result does not depend on how. Scratch is zero bytes: intermediate results live on the
//! heap for the length of a call.

mod argmax;
mod cache;
mod embedding;
mod faults;
mod flash_attn;
mod grouped_gemm;
mod kv_append;
pub mod memory;
mod moe;
mod mxfp4_prepack;
mod provide;
mod real;
mod rms_norm;
mod rope;
mod rows;
mod swiglu;
mod tensor_cores;
pub mod timing;
mod weights;

use crate::backend::{Arch, Backend, DeviceInfo};
use memory::CpuMem;

/// How the loops compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// f64 throughout. Takes and gives f64 operands too.
    Oracle,
    /// f32 throughout.
    Single,
    /// f32, with the probabilities of attention rounded to the type of the values, and the sums of matrix products over bf16
    /// or f16 activations as tensor cores make them.
    Twin,
}

/// The CPU backend.
#[derive(Clone, Debug)]
pub struct Cpu {
    arithmetic: Arithmetic,
    info: DeviceInfo,
}

impl Cpu {
    /// In f32.
    pub fn new() -> Self {
        Self::with_arithmetic(Arithmetic::Single)
    }

    /// In f64: the definition.
    pub fn oracle() -> Self {
        Self::with_arithmetic(Arithmetic::Oracle)
    }

    /// In f32, rounding like an accelerated kernel.
    pub fn twin() -> Self {
        Self::with_arithmetic(Arithmetic::Twin)
    }

    /// In the given arithmetic.
    pub fn with_arithmetic(arithmetic: Arithmetic) -> Self {
        let units = rayon::current_num_threads() as u32;
        let name = format!("reference, {units} threads");
        Cpu { arithmetic, info: DeviceInfo { name, arch: Arch::Cpu, units, shared_bytes: 0 } }
    }

    /// How the loops compute.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Cpu {
    const NAME: &'static str = "cpu";
    type Mem = CpuMem;
    type Queue<'q> = ();

    fn device(&self) -> &DeviceInfo {
        &self.info
    }

    fn offset(mem: &CpuMem, bytes: usize) -> CpuMem {
        mem.offset(bytes)
    }
}
