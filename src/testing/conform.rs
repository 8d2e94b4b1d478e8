//! Conformance: every op on a backend against the f64 oracle, within derived bounds.
//!
//! For each case of an op ([`Cases`]): operands are made from the case's name, the oracle computes in f64 on the same
//! operands, and the backend's outputs pass when
//!
//! - integers, copies and single roundings are exactly the oracle's;
//! - everything else satisfies, per element, `|got - oracle| <= bound + 2 ulp(output)`, the bound derived beside each op in
//!   `conform/`, and over the tensor `rms(got - oracle) <= 2 rms(twin - oracle)`, the twin being the reference in f32 with
//!   every rounding that a kernel may do, tensor cores' cutting off among them. The twin's error is not taken below the
//!   rounding of the output, nor below the bound without its worst-case factor c: one f32 roundoff of the sum of absolute
//!   values is what a plain sequential sum errs by, and the twin's other sums, in 32 parts, are better than that;
//! - a NaN or infinity stands exactly where the oracle's does, and what the oracle did not write is still poison;
//! - two runs in fresh memory give the same bits, with strided rows and unpoisoned scratch as well, and nothing else was
//!   written;
//! - the same holds but for the bits where rows are so strided that they are not aligned: another kernel may run, in another
//!   order, within the same bounds.

mod attention;
mod batch;
mod expected;
mod gemm;
mod judge;
mod moe;
mod prepack;
mod same;
mod small;

pub use crate::testing::harness::Inputs;
pub use batch::batch_invariant;
pub use expected::Expected;
use expected::Got;
pub use judge::Judged;
pub use same::{Same, same};

use crate::backend::{Provide, Runtime};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::cases::{Case, Cases, Data};
use crate::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
use crate::op::{
    ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, Mxfp4PrepackSpec, RmsNormSpec, RopeSpec,
    SwigluSpec,
};
use crate::testing::harness::Outputs;
use crate::testing::random::Random;
use crate::testing::report::{Filter, Report, Row, Status};

/// How far an output may be from the oracle's.
#[derive(Clone, Debug)]
pub enum Bound {
    /// Exactly the oracle's value, rounded once to the output's type.
    Exact,
    /// Each element by this much and 2 ulp of the output's type.
    Within(Vec<f64>),
}

/// An op that can be tested: how its operands are made, and how far its outputs may be off.
pub trait Conform: Cases {
    /// Operands for this spec.
    ///
    /// # Errors
    /// [`Error::Input`] where the spec cannot have any.
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error>;

    /// The same op with f64 outputs, for the oracle.
    fn oracle(&self) -> Self;

    /// Bound of each output, given the operands and what the oracle made of them.
    ///
    /// # Errors
    /// As [`harness::run`](crate::testing::harness::run).
    fn bounds(&self, inputs: &Inputs, oracle: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error>;

    /// The inputs as a variant rounds them before anything else, where it says that it does: it is judged by those, within the
    /// bounds of all others.
    ///
    /// # Errors
    /// As [`Conform::fill`].
    fn rounded_by(&self, variant: &str, inputs: &Inputs) -> Result<Option<Inputs>, Error> {
        let _ = (variant, inputs);
        Ok(None)
    }
}

/// Does a variant of an op round its operands first? Results of operands as they are do not judge it: [`Conform::rounded_by`].
pub(super) fn rounds(op: &str, variant: &str) -> bool {
    (op, variant) == ("grouped_gemm", "mfma_f8")
}

/// Something that is done for every op.
trait PerOp<B> {
    fn op<O: Conform>(&mut self)
    where
        B: Provide<O>,
        Cpu: Provide<O>;
}

fn every_op<B: AllOps>(visitor: &mut impl PerOp<B>) {
    visitor.op::<GroupedGemmSpec>();
    visitor.op::<RouteSpec>();
    visitor.op::<SortSpec>();
    visitor.op::<DispatchSpec>();
    visitor.op::<PermuteSpec>();
    visitor.op::<CombineSpec>();
    visitor.op::<FlashAttnSpec>();
    visitor.op::<KvAppendSpec>();
    visitor.op::<RopeSpec>();
    visitor.op::<RmsNormSpec>();
    visitor.op::<SwigluSpec>();
    visitor.op::<EmbeddingSpec>();
    visitor.op::<ArgmaxSpec>();
    visitor.op::<Mxfp4PrepackSpec>();
}

/// Judges the cases of each op that the filter takes.
struct Judge<'a, B> {
    backend: &'a B,
    filter: &'a Filter,
    progress: &'a mut dyn FnMut(&Row),
    report: Report,
}

impl<B: Runtime> PerOp<B> for Judge<'_, B> {
    fn op<O: Conform>(&mut self)
    where
        B: Provide<O>,
        Cpu: Provide<O>,
    {
        run_op::<O, B>(self.backend, self.filter, self.progress, &mut self.report);
    }
}

/// Runs all cases of all ops that the filter takes.
pub fn run<B: Runtime + AllOps>(backend: &B, filter: &Filter, mut progress: impl FnMut(&Row)) -> Report {
    let mut judge = Judge { backend, filter, progress: &mut progress, report: Report::default() };
    every_op(&mut judge);
    judge.report
}

/// Runs the cases of one op.
pub fn run_op<O: Conform, B: Runtime + Provide<O>>(
    backend: &B,
    filter: &Filter,
    progress: &mut dyn FnMut(&Row),
    report: &mut Report,
) where
    Cpu: Provide<O>,
{
    for case in O::cases().iter().filter(|c| filter.takes(O::NAME, &c.name)) {
        let row = row(backend, case, filter.variant.as_deref());
        progress(&row);
        report.rows.push(row);
    }
}

fn row<O: Conform, B: Runtime + Provide<O>>(backend: &B, case: &Case<O>, variant: Option<&str>) -> Row
where
    Cpu: Provide<O>,
{
    let (status, worst, message) = match judge(backend, case, variant) {
        Ok(judged) if judged.wrong.is_empty() => (Status::Passed, Some(judged.worst), String::new()),
        Ok(judged) => (Status::Failed, None, judged.wrong.join("; ")),
        Err(e) => (of_error(&e), None, e.to_string()),
    };
    Row { op: O::NAME.into(), backend: B::NAME.into(), case: case.name.clone(), status, worst, message }
}

fn of_error(e: &Error) -> Status {
    match e {
        Error::Unsupported { .. } | Error::Unavailable { .. } => Status::Skipped,
        _ => Status::Failed,
    }
}

/// Runs one case and judges it.
///
/// # Errors
/// [`Error::Unsupported`] where the backend does not run this spec, else as [`harness::run`](crate::testing::harness::run).
pub fn judge<O: Conform, B: Runtime + Provide<O>>(
    backend: &B,
    case: &Case<O>,
    variant: Option<&str>,
) -> Result<Judged, Error>
where
    Cpu: Provide<O>,
{
    let inputs = case.op.fill(case.data, &mut Random::named(&format!("{} {}", O::NAME, case.name)))?;
    judge_on(backend, &case.op, &inputs, variant)
}

/// As [`judge`], on given operands.
///
/// # Errors
/// As [`judge`].
pub fn judge_on<O: Conform, B: Runtime + Provide<O>>(
    backend: &B,
    op: &O,
    inputs: &Inputs,
    variant: Option<&str>,
) -> Result<Judged, Error>
where
    Cpu: Provide<O>,
{
    let got = Got::of(backend, op, inputs, variant)?;
    let rounded = variant.map_or(Ok(None), |name| op.rounded_by(name, inputs))?;
    Expected::new(op, rounded.as_ref().unwrap_or(inputs))?.judge(&got)
}

/// An input by name.
pub(crate) fn input<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a HostTensor, Error> {
    let found = inputs.iter().find(|(n, _)| *n == name).map(|(_, t)| t);
    found.ok_or_else(|| Error::input(format!("operand `{name}`"), "is not among the inputs"))
}

/// f32 roundoff.
pub(crate) const U: f64 = 1.0 / (1u64 << 24) as f64;

/// The inputs with every floating-point number made positive, for sums of absolute values.
pub(crate) fn magnitudes(inputs: &Inputs) -> Result<Inputs, Error> {
    let positive = |(name, t): &(&'static str, HostTensor)| {
        if !t.dtype.is_float() {
            return Ok((*name, t.clone()));
        }
        let values: Vec<f64> = t.to_f64().iter().map(|v| v.abs()).collect();
        Ok((*name, HostTensor::from_f64(t.dtype, &t.shape, &values)?))
    };
    inputs.iter().map(positive).collect()
}
