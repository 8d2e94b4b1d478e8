//! What all ops of the reference have in common: one variant, no scratch (intermediate results live on the heap), f64 for
//! the oracle alone.

use super::{Arithmetic, Cpu};
use crate::backend::{Backend, DeviceInfo, Explain, Explanation, Hint};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::Op;

/// The one variant.
pub(super) const VARIANT: &str = "reference";

/// The plan is the spec itself, if this arithmetic takes its types.
pub(super) fn plan<O: Op>(cpu: &Cpu, op: &O, hint: Hint<'_>) -> Result<O, Error> {
    let unsupported = |reason| Err(Error::Unsupported { backend: Cpu::NAME, op: O::NAME, reason });
    if let Some(variant) = hint.variant.filter(|v| *v != VARIANT) {
        return unsupported(format!("there is no variant `{variant}`, only `{VARIANT}`"));
    }
    if cpu.arithmetic() != Arithmetic::Oracle
        && let Some(operand) = op.operands().iter().find(|o| o.dtype == DType::F64)
    {
        return unsupported(format!("`{}` is f64, which only the oracle takes (Cpu::oracle)", operand.name));
    }
    Ok(*op)
}

impl<O: Op> Explain<O> for Cpu {
    fn explain(op: &O, _: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error> {
        Cpu::new().explain_here(op, hint)
    }

    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        op.check()?;
        plan(self, op, hint)?;
        Ok(Explanation { chosen: Some(VARIANT), ..Explanation::default() })
    }
}

/// `impl Provide` for an op whose loops are `run::<f32 or f64>(spec, args, arithmetic)`.
macro_rules! provide {
    ($spec:ty, $run:ident) => {
        impl $crate::backend::Provide<$spec> for $crate::cpu::Cpu {
            type Plan = $spec;

            fn plan(&self, op: &$spec, hint: $crate::backend::Hint<'_>) -> Result<$spec, $crate::error::Error> {
                $crate::cpu::provide::plan(self, op, hint)
            }

            fn variant(_: &$spec) -> &str {
                $crate::cpu::provide::VARIANT
            }

            fn scratch(_: &$spec) -> $crate::backend::Scratch {
                $crate::backend::Scratch { bytes: 0, align: 1 }
            }

            fn enqueue(
                &self,
                op: &$spec,
                args: <$spec as $crate::op::Op>::Args<'_, Self>,
                _: $crate::tensor::ViewMut<'_, Self>,
                _: &mut (),
            ) -> Result<(), $crate::error::Error> {
                match self.arithmetic() {
                    $crate::cpu::Arithmetic::Oracle => $run::<f64>(op, args, self.arithmetic()),
                    _ => $run::<f32>(op, args, self.arithmetic()),
                }
            }
        }
    };
}
pub(super) use provide;
