//! Runs compiled AMD kernels on the CPU: the code objects of gfx90a, gfx942, gfx950, gfx1100 and gfx1201, instruction by
//! instruction, strictly.
//!
//! LLVM's disassembler reads the code, so that its encoding is judged by somebody else; everything after that is ours.
//! Registers and LDS hold poison until they are written. These are errors: an instruction or a modifier that is not known,
//! a register used while a load into it is under way and no instruction has waited for it, memory outside every allocation,
//! LDS that two waves touch between barriers where one of them writes, a barrier that not all lanes reach. What an instruction does
//! is held to AMD's guides by a line or more of `facts/` for each that our kernels have, matrix instructions by tests beside them.
//!
//! What this cannot show: speed, the wait states between instructions that the hardware does not interlock, the order of
//! memory accesses of different workgroups, the last bits of the matrix and transcendental units, and whether WMMA keeps
//! subnormal numbers, of which no guide speaks: here it does.
//!
//! As a shared library it is a stand-in for libamdhip64 ([`hip`]): `tools/verify-hip.sh` has the hip backend load it.

pub mod hip;
pub mod launch;
pub mod memory;
pub mod object;

mod branch;
mod compare;
mod convert;
pub mod decode;
mod divide;
mod dual;
#[cfg(test)]
mod facts;
mod float;
mod global;
pub mod instruction;
mod integer;
mod lanes;
pub mod lds;
mod listing;
mod matrix;
mod matrix_scaled;
mod packed;
#[cfg(test)]
mod rdna;
mod scalar;
mod scalar_float;
pub mod waits;
pub mod wave;
mod wide;
mod wmma;
