//! The ops: what each computes, on what, and how much work it is. A file here is the whole truth of one op; backends
//! implement it, none adds to it.
//!
//! An op's value is its specification: a small `Copy` value naming shapes, types and options. What only the device knows
//! (rows per expert, lengths, page tables) is an operand, and the spec holds its upper bound, so that one plan serves
//! every call.

mod any;
pub(crate) mod arg_set;
pub mod argmax;
#[cfg(feature = "testing")]
pub mod cases;
pub mod embedding;
pub mod fault;
pub mod flash_attn;
pub mod grouped_gemm;
pub mod kv_append;
pub mod kv_store;
pub mod moe;
pub mod mxfp4_prepack;
pub mod rms_norm;
pub mod rope;
pub mod swiglu;

pub use any::AnySpec;
pub(crate) use arg_set::args;
pub use argmax::{ArgmaxArgs, ArgmaxSpec};
pub use embedding::{EmbeddingArgs, EmbeddingSpec};
pub use fault::Fault;
pub use flash_attn::{FlashAttnArgs, FlashAttnSpec, KvIndex, Lse, Mask, Window};
pub use grouped_gemm::{Combine, Epilogue, Gather, GroupedGemmArgs, GroupedGemmSpec, LocalExperts, WeightFormat};
pub use kv_append::{KvAppendArgs, KvAppendSpec};
pub use kv_store::{KvStore, PageLayout};
pub use mxfp4_prepack::{Mxfp4PrepackArgs, Mxfp4PrepackSpec};
pub use rms_norm::{RmsNormArgs, RmsNormSpec};
pub use rope::{Pairing, RopeArgs, RopeSpec, RopeTable, YarnRope};
pub use swiglu::{GateUp, Swiglu, SwigluArgs, SwigluSpec};

use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;
use crate::tensor::{Shape, View, ViewInfo, ViewMut};
use arrayvec::ArrayVec;
use std::fmt;
use std::hash::Hash;

/// Most operands an op has.
pub const MAX_OPERANDS: usize = 18;

/// One operand that a spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Its name: the field of the op's `Args`.
    pub name: &'static str,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// Written by the op.
    pub output: bool,
    /// May be left out (the status word).
    pub optional: bool,
    /// The first dimension may be strided.
    pub strided: bool,
}

impl Operand {
    /// An input whose first dimension must be contiguous like the rest.
    pub fn input(name: &'static str, dtype: DType, shape: &[usize]) -> Self {
        Operand { name, dtype, shape: Shape::new(shape), output: false, optional: false, strided: false }
    }

    /// An output, likewise.
    pub fn output(name: &'static str, dtype: DType, shape: &[usize]) -> Self {
        Operand { output: true, ..Operand::input(name, dtype, shape) }
    }

    /// The device status word: u32 \[1\], to which [`Fault`] bits are added. The caller zeroes and reads it.
    pub fn status() -> Self {
        Operand { optional: true, ..Operand::output("status", DType::U32, &[1]) }
    }

    /// The same operand, its first dimension strided at will (not smaller than a row).
    pub fn strided(self) -> Self {
        Operand { strided: true, ..self }
    }
}

/// The operands of a spec, in the order of the fields of its `Args`.
pub type Operands = ArrayVec<Operand, MAX_OPERANDS>;

/// What an `Args` struct says of its fields: name, and the view if one is there.
pub type ArgInfos = ArrayVec<(&'static str, Option<ViewInfo>), MAX_OPERANDS>;

/// As [`ArgInfos`], with the handle of each view.
pub type ArgViews<B> = ArrayVec<(&'static str, Option<(<B as Backend>::Mem, ViewInfo)>), MAX_OPERANDS>;

/// Named views that an `Args` can be assembled from: how one harness drives every op.
pub trait NamedViews<'a, B: Backend> {
    /// The input of this name.
    fn view(&mut self, name: &'static str) -> Option<View<'a, B>>;
    /// The output of this name.
    fn view_mut(&mut self, name: &'static str) -> Option<ViewMut<'a, B>>;
}

/// Implemented by the `args!` macro for every `Args` struct.
pub trait ArgSet<'a, B: Backend>: Sized {
    /// Each field with its view's type and shape.
    fn infos(&self) -> ArgInfos;
    /// Each field with its view's handle, type and shape.
    fn views(&self) -> ArgViews<B>;
    /// Takes each field from `views` by its name.
    ///
    /// # Errors
    /// A required field that is not there.
    fn assemble(op: &'static str, views: &mut impl NamedViews<'a, B>) -> Result<Self, SpecError>;
}

/// An operation with one meaning on every backend.
pub trait Op: Copy + Eq + Hash + fmt::Debug + Send + Sync + 'static {
    /// Name in errors, on the command line and in results.
    const NAME: &'static str;
    /// Named operands.
    type Args<'a, B: Backend>: ArgSet<'a, B>;
    /// Does the spec make sense at all?
    ///
    /// # Errors
    /// The parameter, what was wanted, what came.
    fn check(&self) -> Result<(), SpecError>;
    /// The operands this spec asks for. The only place where their shapes and types are written.
    fn operands(&self) -> Operands;
    /// Operations and bytes of one call at the spec's upper bounds: the roofline.
    fn work(&self) -> Work;
    /// Do the operands fit? The only validation of operands.
    ///
    /// # Errors
    /// The operand, what was wanted, what came.
    fn bind<B: Backend>(&self, args: &Self::Args<'_, B>) -> Result<(), SpecError> {
        let wanted = self.operands();
        for (name, got) in args.infos() {
            bind_one(Self::NAME, name, wanted.iter().find(|o| o.name == name), got)?;
        }
        Ok(())
    }
}

/// Work of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations (a multiply-add is two).
    pub flops: u64,
    /// Bytes that must move through device memory: each operand once.
    pub bytes: u64,
}

impl Work {
    /// `flops`, and each of the operands once.
    fn with_operands(flops: u64, operands: &Operands) -> Work {
        let bytes = operands.iter().map(|o| (o.shape.len() as u64).saturating_mul(o.dtype.bytes() as u64));
        Work { flops, bytes: bytes.fold(0, u64::saturating_add) }
    }
}

/// The product of sizes; saturates, because `work` and `operands` answer for specs that `check` refuses too.
fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |n, size| n.saturating_mul(*size as u64))
}

fn bind_one(
    op: &'static str,
    name: &'static str,
    want: Option<&Operand>,
    got: Option<ViewInfo>,
) -> Result<(), SpecError> {
    let error = |want: String, got: String| Err(SpecError { op, operand: name, want, got });
    let describe = |d: DType, s: Shape| format!("{d} {s:?}");
    match (want, got) {
        (None, None) => Ok(()),
        (None, Some(got)) => error("absent (the spec does not ask for it)".into(), describe(got.dtype, got.shape)),
        (Some(want), None) if want.optional => Ok(()),
        (Some(want), None) => error(describe(want.dtype, want.shape), "nothing".into()),
        (Some(want), Some(got)) => {
            if want.dtype != got.dtype || want.shape != got.shape {
                return error(describe(want.dtype, want.shape), describe(got.dtype, got.shape));
            }
            let row = want.shape.row_len();
            if got.row_stride == row || (want.strided && got.row_stride > row) {
                return addressable(op, name, got);
            }
            let wanted =
                if want.strided { format!("of row stride >= {row}") } else { format!("contiguous (row stride {row})") };
            error(wanted, format!("row stride {}", got.row_stride))
        }
    }
}

/// Bytes from an operand's first row to behind its last one are a number that backends calculate with.
fn addressable(op: &'static str, operand: &'static str, got: ViewInfo) -> Result<(), SpecError> {
    let rows = got.shape.dims().first().copied().unwrap_or(1).max(1);
    let bytes = got.row_stride.checked_mul(got.dtype.bytes()).and_then(|row| row.checked_mul(rows));
    let ok = bytes.is_some_and(|b| b <= isize::MAX as usize);
    need(op, operand, ok, "of rows that can be addressed", format!("row stride {}", got.row_stride))
}

/// `Err` naming the parameter unless `ok`.
pub(crate) fn need(
    op: &'static str,
    operand: &'static str,
    ok: bool,
    want: impl fmt::Display,
    got: impl fmt::Display,
) -> Result<(), SpecError> {
    if ok {
        return Ok(());
    }
    Err(SpecError { op, operand, want: want.to_string(), got: got.to_string() })
}

/// Every operand's size must fit the address space, and its indices `i32` where they are given as such.
fn check_sizes(op: &'static str, operands: &Operands) -> Result<(), SpecError> {
    for o in operands {
        let bytes = o.shape.checked_len().and_then(|n| n.checked_mul(o.dtype.bytes()));
        need(
            op,
            o.name,
            bytes.is_some_and(|b| b <= isize::MAX as usize),
            "of a size that can be addressed",
            format!("{:?}", o.shape),
        )?;
    }
    Ok(())
}

fn need_float(op: &'static str, operand: &'static str, dtype: DType) -> Result<(), SpecError> {
    need(op, operand, dtype.is_float(), "f32, bf16, f16 or (cpu oracle) f64", dtype)
}

/// What a cache of keys and values may hold.
fn need_cache(op: &'static str, operand: &'static str, dtype: DType) -> Result<(), SpecError> {
    let ok = dtype.is_float() || dtype == DType::F8E4m3;
    need(op, operand, ok, "f32, bf16, f16, f8e4m3 or (cpu oracle) f64", dtype)
}

/// A count that indices of type i32 must reach: at most 2^31 - 1, and at least `least`.
fn need_count(op: &'static str, operand: &'static str, n: usize, least: usize) -> Result<(), SpecError> {
    need(op, operand, n >= least && n <= i32::MAX as usize, format!("{least} to {}", i32::MAX), n)
}
