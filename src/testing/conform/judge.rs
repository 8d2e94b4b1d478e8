//! One backend's outputs against the oracle's.

use super::Bound;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::testing::harness::{Outputs, poison};

/// What was found.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Judged {
    /// Worst error as a part of what is allowed.
    pub worst: f64,
    /// What is wrong, in words; empty where all is right.
    pub wrong: Vec<String>,
}

impl Judged {
    /// Both runs gave the same bits.
    pub(super) fn same_bits(&mut self, packed: &Outputs, strided: &Outputs) {
        for ((name, a), (_, b)) in packed.iter().zip(strided.iter()) {
            if a.bytes.as_slice() != b.bytes.as_slice() {
                self.wrong.push(format!("{name}: differs where rows are strided"));
            }
        }
    }

    pub(super) fn outputs(
        &mut self,
        got: &Outputs,
        oracle: &Outputs,
        twin: &Outputs,
        bounds: &[(&'static str, Bound)],
        accumulation: f64,
    ) -> Result<(), Error> {
        if got.status != oracle.status {
            self.wrong.push(format!("status word {:?} instead of {:?}", got.status, oracle.status));
        }
        for (name, got) in got.iter() {
            let exact = Bound::Exact;
            let bound = bounds.iter().find(|(n, _)| n == name).map_or(&exact, |(_, b)| b);
            match tensor(got, oracle.get(name)?, twin.get(name)?, bound, accumulation) {
                Ok(worst) => self.worst = self.worst.max(worst),
                Err(words) => self.wrong.push(format!("{name}: {words}")),
            }
        }
        Ok(())
    }
}

/// Elements from which on a root mean square means something.
const ENOUGH: usize = 64;

/// Distance from `x` to the next number of this type, at least the smallest one.
fn ulp(dtype: DType, x: f64) -> f64 {
    let below = if x == 0.0 { 0.0 } else { x.abs().log2().floor().exp2() };
    (2.0 * dtype.unit_roundoff() * below).max(dtype.smallest())
}

fn tensor(
    got: &HostTensor,
    oracle: &HostTensor,
    twin: &HostTensor,
    bound: &Bound,
    accumulation: f64,
) -> Result<f64, String> {
    let (values, wants, twins) = (got.to_f64(), oracle.to_f64(), twin.to_f64());
    if values.len() != wants.len() {
        return Err(format!("{} elements instead of {}", values.len(), wants.len()));
    }
    let (mut worst, mut errors, mut twin_errors, mut floor, mut count) = (0f64, 0f64, 0f64, 0f64, 0usize);
    for (i, (value, want)) in values.iter().zip(&wants).enumerate() {
        let written = !is_poison(oracle, i);
        if written == is_poison(got, i) {
            return Err(format!("element {i} {}", if written { "was not written" } else { "was written" }));
        }
        if !written {
            continue;
        }
        let rounded = if got.dtype.unit_roundoff() > 0.0 { got.dtype.round(*want) } else { *want };
        if same(*value, rounded) {
            // Also where both are infinite, or NaN.
        } else if !value.is_finite() || !rounded.is_finite() {
            return Err(format!("element {i} is {value}, the oracle says {want:e}"));
        }
        let (off, allowed) = match bound {
            Bound::Exact => (0.0, 0.0),
            Bound::Within(bounds) => {
                let off = bounds.get(i).copied().unwrap_or(0.0);
                (off, off + 2.0 * ulp(got.dtype, *want))
            }
        };
        let error = if same(*value, rounded) { 0.0 } else { (value - want).abs() };
        // Not `error > allowed`: a NaN bound must not pass.
        if !(error == 0.0 || error <= allowed) {
            let off = format!("off by {error:.3e}, allowed {allowed:.3e}");
            return Err(format!("element {i} is {value:e}, the oracle says {want:e}: {off}"));
        }
        worst = worst.max(if error == 0.0 { 0.0 } else { error / allowed });
        if rounded.is_finite() {
            errors += (value - want).powi(2);
            twin_errors += (twins[i] - want).powi(2);
            let typical = if accumulation > 0.0 { off / accumulation } else { 0.0 };
            floor += (ulp(got.dtype, *want) / 2.0).max(typical).powi(2);
            count += 1;
        }
    }
    rms(errors, twin_errors, floor, count)?;
    Ok(worst)
}

/// `rms(got - oracle) <= 2 rms(twin - oracle)`, the twin's not taken below `floor`.
/// Fewer elements than [`ENOUGH`] are no statistic: the bound of each element judges them.
fn rms(errors: f64, twin_errors: f64, floor: f64, count: usize) -> Result<(), String> {
    if count < ENOUGH {
        return Ok(());
    }
    let root = |sum: f64| (sum / count as f64).sqrt();
    let (error, allowed) = (root(errors), 2.0 * root(twin_errors.max(floor)));
    match error <= allowed {
        true => Ok(()),
        false => Err(format!("rms error {error:.3e}, allowed {allowed:.3e} (twice the twin's)")),
    }
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn is_poison(tensor: &HostTensor, index: usize) -> bool {
    let size = tensor.dtype.bytes();
    let (from, to) = (index * size, (index + 1) * size);
    // Of one-byte types the two bytes take turns.
    tensor.bytes.as_slice()[from..to] == poison(size + 1)[from % 2..][..size]
}
