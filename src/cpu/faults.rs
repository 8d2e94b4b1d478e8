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

    /// Adds them to the status word, if there is one.
    pub(super) fn report(self, status: &mut Option<ViewMut<'_, Cpu>>) {
        let Some(view) = status else { return };
        let word = view.mem().as_ptr().cast::<[u8; 4]>();
        // SAFETY: `bind` checked that the status word is a u32 [1]; the view lends it to us alone.
        unsafe { word.write((u32::from_le_bytes(word.read()) | self.0.into_inner()).to_le_bytes()) };
    }
}
