//! Loads under way: a register that one of them fills may not be used before an `s_waitcnt` has waited for it.

use crate::instruction::{Instruction, Place};

/// LDS words that an access touches.
#[derive(Clone)]
pub struct LdsAccess {
    /// First byte of each lane.
    pub address: [u32; 64],
    /// Lanes that take part.
    pub lanes: u64,
    /// Bytes of each.
    pub bytes: u32,
    /// It changes them.
    pub writes: bool,
}

enum Under {
    /// Fills scalar registers, in no order.
    Scalar { first: usize, count: usize },
    /// Uses LDS or the paths between lanes, in order; fills vector registers, maybe none.
    Lds { first: usize, count: usize, accesses: Vec<LdsAccess> },
}

/// What a wave has under way.
#[derive(Default)]
pub struct Waits {
    /// Vector memory, in order: registers each fills, maybe none.
    vector: Vec<(usize, usize)>,
    local: Vec<Under>,
}

impl Waits {
    /// A vector memory access that fills `count` registers.
    pub fn vector(&mut self, first: usize, count: usize) {
        self.vector.push((first, count));
    }

    /// A scalar load.
    pub fn scalar(&mut self, first: usize, count: usize) {
        self.local.push(Under::Scalar { first, count });
    }

    /// An LDS access or a move between lanes.
    pub fn lds(&mut self, first: usize, count: usize, accesses: Vec<LdsAccess>) {
        self.local.push(Under::Lds { first, count, accesses });
    }

    /// `s_waitcnt`: at most so many are still under way. Of scalar loads among others nobody knows which they are.
    pub fn wait(&mut self, [vector, local]: [Option<u32>; 2]) {
        if let Some(left) = vector {
            self.vector.drain(..self.vector.len().saturating_sub(left as usize));
        }
        if let Some(left) = local {
            let mixed = self.local.iter().any(|u| matches!(u, Under::Scalar { .. }));
            if left == 0 || !mixed {
                self.local.drain(..self.local.len().saturating_sub(left as usize));
            }
        }
    }

    /// LDS accesses that may happen only after the barrier that the wave is at.
    pub fn late(&self) -> impl Iterator<Item = &LdsAccess> {
        self.local.iter().flat_map(|u| match u {
            Under::Lds { accesses, .. } => accesses.as_slice(),
            Under::Scalar { .. } => &[],
        })
    }

    /// Does the instruction use a register that is under way?
    ///
    /// # Errors
    /// Which one, and the counter that must be waited for.
    pub fn check(&self, i: &Instruction) -> Result<(), String> {
        if self.vector.is_empty() && self.local.is_empty() {
            return Ok(());
        }
        for operand in &i.operands {
            let overlaps = |at: usize, first: usize, count: usize| at < first + count && first < at + operand.count;
            match operand.place {
                Place::Vector(at) => {
                    let local =
                        |u: &Under| matches!(u, Under::Lds { first, count, .. } if overlaps(at, *first, *count));
                    if self.vector.iter().any(|(first, count)| overlaps(at, *first, *count)) {
                        return Err(format!("uses {} before vmcnt has waited for it", name(at)));
                    }
                    if self.local.iter().any(local) {
                        return Err(format!("uses {} before lgkmcnt has waited for it", name(at)));
                    }
                }
                Place::Scalar(at) => {
                    let loads = |u: &Under| matches!(u, Under::Scalar { first, count } if overlaps(at, *first, *count));
                    if self.local.iter().any(loads) {
                        return Err(format!("uses s{at} before lgkmcnt has waited for it"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn name(register: usize) -> String {
    if register < 256 { format!("v{register}") } else { format!("a{}", register - 256) }
}
