//! Bad device-side operands: how the reference meets them.

use super::Cpu;
use crate::op::Fault;
use crate::tensor::ViewMut;
use std::sync::atomic::{AtomicU32, Ordering};

/// Faults met during one call, from any thread.
pub(super) struct Faults(AtomicU32);

impl Faults {
    pub(super) fn none() -> Self {
        Faults(AtomicU32::new(0))
    }

    pub(super) fn add(&self, fault: Fault) {
        self.0.fetch_or(fault.bit(), Ordering::Relaxed);
    }

    /// `value`, if it is an index below `count`; else the fault.
    pub(super) fn index(&self, value: i32, count: usize, fault: Fault) -> Option<usize> {
        let index = usize::try_from(value).ok().filter(|i| *i < count);
        if index.is_none() {
            self.add(fault);
        }
        index
    }

    /// `value` clamped to `least..=most`, with the fault where that changes it.
    pub(super) fn clamp(&self, value: i64, least: usize, most: usize, fault: Fault) -> usize {
        let clamped = usize::try_from(value).unwrap_or(0).min(most).max(least);
        if clamped as i64 != value {
            self.add(fault);
        }
        clamped
    }

    /// Offsets (or cumulative lengths), each clamped to between the one before it and `upper`.
    pub(super) fn offsets(&self, raw: &[i32], upper: usize) -> Vec<usize> {
        let next = |before: &mut usize, offset: &i32| {
            *before = self.clamp((*offset).into(), *before, upper, Fault::Offsets);
            Some(*before)
        };
        raw.iter().scan(0, next).collect()
    }

    /// Adds them to the status word, if there is one.
    pub(super) fn report(self, status: &mut Option<ViewMut<'_, Cpu>>) {
        let Some(view) = status else { return };
        let word = view.mem().as_ptr().cast::<[u8; 4]>();
        // SAFETY: `bind` checked that the status word is a u32 [1]; the view lends it to us alone.
        unsafe { word.write((u32::from_le_bytes(word.read()) | self.0.into_inner()).to_le_bytes()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_clamped_between_the_one_before_and_the_end() {
        let faults = Faults::none();
        assert_eq!(faults.offsets(&[0, 2, 2, 5], 5), [0, 2, 2, 5]);
        assert_eq!(faults.0.load(Ordering::Relaxed), 0);
        assert_eq!(faults.offsets(&[-3, 4, 2, 9], 5), [0, 4, 4, 5]);
        let mut word = [1u32 << 7];
        faults.report(&mut Cpu::view_mut(&mut word, crate::DType::U32, &[1]));
        assert_eq!(word[0], Fault::Offsets.bit() | Fault::Slot.bit());
    }
}
