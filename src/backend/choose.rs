//! The choice of a variant: the first one of a backend's table that may run a spec and should. A function of the spec, the device
//! and the hint alone, so it is the same on every machine.

use super::{Class, Explanation, Hint, Rejected, Tuned};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::Op;

/// One entry of a backend's table.
pub(crate) trait Variant: 'static {
    /// Unique among an op's variants.
    fn name(&self) -> &'static str;
}

/// A device as a chooser sees it: which variants it has for an op, and what it says of each.
pub(crate) trait Judge<O: Op> {
    /// Of the device's backend.
    const BACKEND: &'static str;
    /// What its kernels are made with: compiled, written.
    const MADE: &'static str;
    /// An entry of the table.
    type Variant: Variant;

    /// The op's variants, in the order in which they are tried.
    fn variants(&self) -> impl Iterator<Item = &'static Self::Variant>;

    /// Limits of all variants alike.
    ///
    /// # Errors
    /// Which limit, in words.
    fn limits(&self, op: &O) -> Result<(), String>;

    /// May this variant run the spec at all?
    ///
    /// # Errors
    /// What is in the way, in words.
    fn may_run(&self, op: &O, variant: &'static Self::Variant) -> Result<(), String>;

    /// Should it, where nobody forces it? Asked only of what may run.
    ///
    /// # Errors
    /// What it is better for, in words.
    fn suits(&self, op: &O, variant: &'static Self::Variant, hint: Hint<'_>) -> Result<(), String>;

    /// What was measured on this device.
    fn tuned(&self) -> Option<&Tuned> {
        None
    }

    /// What of the spec measured choices are found by.
    fn class(&self, op: &O, hint: Hint<'_>) -> Option<Class> {
        let _ = (op, hint);
        None
    }

    /// Scratch of one call of a variant that may run.
    ///
    /// # Errors
    /// What of the spec is too large for this device, in words.
    fn scratch_bytes(&self, op: &O, variant: &'static Self::Variant) -> Result<usize, String>;
}

/// The chosen variant and those that stood before it in the table.
#[derive(Clone, Debug)]
pub struct Choice<V: 'static> {
    pub(crate) artifact: &'static V,
    /// Variants that were passed over, in the order of the table.
    pub rejected: Vec<Rejected>,
}

#[expect(private_bounds, reason = "only a backend's table has entries")]
impl<V: Variant> Choice<V> {
    /// Name of the chosen variant.
    pub fn variant(&self) -> &'static str {
        self.artifact.name()
    }
}

/// The first variant that may run `op` and suits it; with a forced variant, that one, if it may run at all.
///
/// # Errors
/// [`Error::Unsupported`] with every variant and its reason, one a line; of a forced one its own.
pub(crate) fn choose<O: Op, J: Judge<O>>(judge: &J, op: &O, hint: Hint<'_>) -> Result<Choice<J::Variant>, Error> {
    refuse_all(judge, op)?;
    let hint = within_i32(hint);
    let tuned = tuned(judge, op, hint);
    let mut rejected = Vec::new();
    for artifact in judge.variants() {
        match verdict(judge, op, artifact, hint, tuned) {
            Ok(()) => return Ok(Choice { artifact, rejected }),
            Err(reason) => rejected.push(Rejected { variant: artifact.name(), reason }),
        }
    }
    // Of the others it could only be said that they were not asked for.
    let forced = rejected.iter().filter(|r| hint.variant.is_none_or(|name| name == r.variant));
    let lines: Vec<String> = forced.map(|r| format!("{}: {}", r.variant, r.reason)).collect();
    let reason = match (hint.variant, lines.is_empty()) {
        (_, false) => lines.join("\n"),
        (Some(name), true) if !rejected.is_empty() => {
            let names: Vec<&str> = rejected.iter().map(|r| r.variant).collect();
            format!("there is no variant `{name}`; there are {}", names.join(", "))
        }
        _ => format!("no variant was {} for it", J::MADE),
    };
    Err(Error::Unsupported { backend: J::BACKEND, op: O::NAME, reason })
}

/// What becomes of every variant.
///
/// # Errors
/// [`Error::Spec`] where the spec makes no sense, [`Error::Unsupported`] where no variant could ever run it.
pub(crate) fn explain<O: Op, J: Judge<O>>(judge: &J, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
    op.check()?;
    refuse_all(judge, op)?;
    let hint = within_i32(hint);
    let tuned = tuned(judge, op, hint);
    let mut explanation = Explanation { class: judge.class(op, hint), ..Explanation::default() };
    for artifact in judge.variants() {
        let scratch = verdict(judge, op, artifact, hint, tuned).and_then(|()| judge.scratch_bytes(op, artifact));
        let reason = match (scratch, explanation.chosen) {
            (Ok(bytes), None) => {
                explanation.chosen = Some(artifact.name());
                explanation.scratch_bytes = bytes;
                continue;
            }
            (Ok(_), Some(chosen)) => format!("may run, but {chosen} stands before it in the table"),
            (Err(reason), _) => reason,
        };
        explanation.rejected.push(Rejected { variant: artifact.name(), reason });
    }
    Ok(explanation)
}

/// With no more rows than any spec has, so that costs do not overflow.
fn within_i32(hint: Hint<'_>) -> Hint<'_> {
    Hint { rows: hint.rows.map(|rows| rows.min(i32::MAX as usize)), ..hint }
}

/// May this variant run, and should it? `tuned` may.
fn verdict<O: Op, J: Judge<O>>(
    judge: &J,
    op: &O,
    artifact: &'static J::Variant,
    hint: Hint<'_>,
    tuned: Option<&str>,
) -> Result<(), String> {
    match (hint.variant, tuned) {
        (Some(name), _) if name != artifact.name() => Err(format!("variant `{name}` was asked for")),
        (Some(_), _) => judge.may_run(op, artifact),
        (None, Some(name)) if name == artifact.name() => Ok(()),
        (None, Some(name)) => {
            judge.may_run(op, artifact).and_then(|()| Err(format!("{name} was measured to be faster on this device")))
        }
        (None, None) => judge.may_run(op, artifact).and_then(|()| judge.suits(op, artifact, hint)),
    }
}

/// The measured choice, where nobody forces another and it may run.
fn tuned<'j, O: Op, J: Judge<O>>(judge: &'j J, op: &O, hint: Hint<'_>) -> Option<&'j str> {
    let table = judge.tuned().filter(|_| hint.variant.is_none())?;
    let name = table.variant(O::NAME, &judge.class(op, hint)?)?;
    let artifact = judge.variants().find(|v| v.name() == name)?;
    judge.may_run(op, artifact).is_ok().then_some(name)
}

fn refuse_all<O: Op, J: Judge<O>>(judge: &J, op: &O) -> Result<(), Error> {
    let oracle = op.operands().iter().find(|o| o.dtype == DType::F64).map(|o| o.name);
    let refused = oracle.map(|name| format!("`{name}` is f64, which only the cpu oracle takes"));
    let refused = refused.map_or_else(|| judge.limits(op), Err);
    refused.map_err(|reason| Error::Unsupported { backend: J::BACKEND, op: O::NAME, reason })
}
