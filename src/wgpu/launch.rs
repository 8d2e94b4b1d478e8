//! What a kernel is given: its operands under the names that its text uses, constants that its text is generated with, and
//! numbers that it reads.

use super::source::MAX_GROUPS;
use crate::dtype::DType;
use std::ops::Range;

/// One dispatch of one kernel.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// Entry point.
    pub kernel: &'static str,
    /// In the order of their binding numbers, which start at 1.
    pub bindings: Vec<Binding>,
    /// Names that the text uses and no binding stands for.
    pub absent: Vec<(&'static str, Kind)>,
    /// Constants of the text: few values, each a pipeline of its own.
    pub consts: Vec<(&'static str, u32)>,
    /// Numbers in the uniform buffer.
    pub params: Vec<(&'static str, Param)>,
    /// Workgroups.
    pub items: usize,
    /// Leave it out where the caller gave no status word.
    pub only_reports: bool,
    /// Fours of elements, and pairs that are written, are whole and lie in whole words where rows begin at words: a text of its own,
    /// without what is for others. [`Launch::anywhere`] has that.
    pub in_words: bool,
}

/// How a kernel reads or writes an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Numbers, to read.
    Reads(DType),
    /// Numbers, to write and to read back.
    Writes(DType),
    /// i32, to read or to write.
    Ints,
    /// Bytes, to read.
    Bytes,
    /// Sixteen bytes at a time of elements of this type, to read.
    Vectors(DType),
    /// Four f16 at a time, to read.
    Halves,
    /// The status word.
    Status,
}

/// An operand or a part of the scratch, bound.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// Name in the kernel's text.
    pub name: &'static str,
    pub kind: Kind,
    pub from: From,
}

#[derive(Clone, Debug)]
pub(super) enum From {
    /// The operand of this name; `rows` of its first dimension, or all.
    Operand { name: &'static str, rows: Option<Range<usize>> },
    /// Bytes of the scratch, in rows of `stride` elements.
    Scratch { bytes: Range<usize>, stride: usize },
}

/// A number in the uniform buffer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param {
    U32(u32),
    I32(i32),
    F32(f32),
}

impl Param {
    pub(super) fn wgsl(self) -> &'static str {
        match self {
            Param::U32(_) => "u32",
            Param::I32(_) => "i32",
            Param::F32(_) => "f32",
        }
    }

    pub(super) fn bits(self) -> u32 {
        match self {
            Param::U32(x) => x,
            Param::I32(x) => x as u32,
            Param::F32(x) => x.to_bits(),
        }
    }
}

impl Launch {
    pub(super) fn new(kernel: &'static str, items: usize) -> Self {
        Launch {
            kernel,
            bindings: Vec::new(),
            absent: Vec::new(),
            consts: Vec::new(),
            params: Vec::new(),
            items,
            only_reports: false,
            in_words: false,
        }
    }

    /// Workgroups in both dimensions.
    pub(super) fn groups(&self) -> [u32; 2] {
        [self.items.min(MAX_GROUPS) as u32, self.items.div_ceil(MAX_GROUPS) as u32]
    }

    fn bind(mut self, name: &'static str, kind: Kind, from: From) -> Self {
        self.bindings.push(Binding { name, kind, from });
        self
    }

    /// Operand `operand` under the name `name`.
    pub(super) fn operand(self, name: &'static str, kind: Kind, operand: &'static str) -> Self {
        self.bind(name, kind, From::Operand { name: operand, rows: None })
    }

    /// An operand under its own name, to read.
    pub(super) fn reads(self, name: &'static str, dtype: DType) -> Self {
        self.operand(name, Kind::Reads(dtype), name)
    }

    /// The same where the spec has it.
    pub(super) fn reads_if(mut self, name: &'static str, dtype: Option<DType>) -> Self {
        match dtype {
            Some(dtype) => self.reads(name, dtype),
            None => {
                self.absent.push((name, Kind::Reads(DType::F32)));
                self
            }
        }
    }

    /// An operand under its own name, to write.
    pub(super) fn writes(self, name: &'static str, dtype: DType) -> Self {
        self.operand(name, Kind::Writes(dtype), name)
    }

    /// The same where the spec has it.
    pub(super) fn writes_if(mut self, name: &'static str, dtype: Option<DType>) -> Self {
        match dtype {
            Some(dtype) => self.writes(name, dtype),
            None => {
                self.absent.push((name, Kind::Writes(DType::F32)));
                self
            }
        }
    }

    /// Operands of type i32 under their own names.
    pub(super) fn ints<const N: usize>(self, names: [&'static str; N]) -> Self {
        names.into_iter().fold(self, |launch, name| launch.operand(name, Kind::Ints, name))
    }

    /// An operand of type i32 under the name `name`, where the spec has one.
    pub(super) fn ints_if(mut self, name: &'static str, operand: Option<&'static str>) -> Self {
        match operand {
            Some(operand) => self.operand(name, Kind::Ints, operand),
            None => {
                self.absent.push((name, Kind::Ints));
                self
            }
        }
    }

    /// Rows `rows` of an operand under its own name.
    pub(super) fn window(self, name: &'static str, kind: Kind, rows: Range<usize>) -> Self {
        self.bind(name, kind, From::Operand { name, rows: Some(rows) })
    }

    /// A name that the text uses for nothing.
    pub(super) fn without(mut self, name: &'static str, kind: Kind) -> Self {
        self.absent.push((name, kind));
        self
    }

    /// Bytes of the scratch, in rows of `stride` elements.
    pub(super) fn scratch(self, name: &'static str, kind: Kind, bytes: Range<usize>, stride: usize) -> Self {
        self.bind(name, kind, From::Scratch { bytes, stride })
    }

    /// The status word.
    pub(super) fn status(self) -> Self {
        self.operand("status", Kind::Status, "status")
    }

    pub(super) fn consts<const N: usize>(mut self, consts: [(&'static str, u32); N]) -> Self {
        self.consts.extend(consts);
        self
    }

    /// Sizes that fit 32 bits: the chooser has refused others.
    pub(super) fn sizes<const N: usize>(mut self, sizes: [(&'static str, usize); N]) -> Self {
        self.params.extend(sizes.map(|(name, n)| (name, Param::U32(n as u32))));
        self
    }

    /// Likewise, for what kernels compare with indices.
    pub(super) fn counts<const N: usize>(mut self, counts: [(&'static str, usize); N]) -> Self {
        self.params.extend(counts.map(|(name, n)| (name, Param::I32(n.min(i32::MAX as usize) as i32))));
        self
    }

    pub(super) fn reals<const N: usize>(mut self, reals: [(&'static str, f64); N]) -> Self {
        self.params.extend(reals.map(|(name, x)| (name, Param::F32(x as f32))));
        self
    }

    /// With whole fours in whole words where rows begin at words, if the kernel's columns are such.
    pub(super) fn in_words(self, in_words: bool) -> Self {
        Launch { in_words, ..self }
    }

    /// The same for rows that begin anywhere.
    pub(super) fn anywhere(&self) -> Self {
        self.clone().in_words(false)
    }

    /// Leaves it out where the caller gave no status word.
    pub(super) fn only_reports(self) -> Self {
        Launch { only_reports: true, ..self }
    }
}
