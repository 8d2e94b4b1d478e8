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

impl Under {
    fn is_lds(&self) -> bool {
        matches!(self, Under::Lds { .. })
    }
}

/// What a wave has under way.
pub struct Waits {
    /// Vector memory, in order: registers each fills, maybe none.
    vector: Vec<(usize, usize)>,
    local: Vec<Under>,
    /// Stores have a counter of their own, which nothing here depends on.
    stores_apart: bool,
}

impl Waits {
    /// Nothing yet. Stores are counted with the loads, or apart.
    pub fn new(stores_apart: bool) -> Self {
        Waits { vector: Vec::new(), local: Vec::new(), stores_apart }
    }

    /// A store, or an atomic operation that gives nothing back.
    pub fn store(&mut self) {
        if !self.stores_apart {
            self.vector(0, 0);
        }
    }

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

    /// At most so many are still under way. Of scalar loads among others nobody knows which they are.
    pub fn wait(&mut self, [vector, local, lds, scalar]: [Option<u32>; 4]) {
        if let Some(left) = vector {
            self.vector.drain(..self.vector.len().saturating_sub(left as usize));
        }
        if let Some(left) = local {
            let mixed = !self.local.iter().all(Under::is_lds);
            if left == 0 || !mixed {
                self.local.drain(..self.local.len().saturating_sub(left as usize));
            }
        }
        if let Some(left) = lds {
            let mut excess = self.local.iter().filter(|u| u.is_lds()).count().saturating_sub(left as usize);
            self.local.retain(|u| {
                let done = u.is_lds() && excess > 0;
                excess -= usize::from(done);
                !done
            });
        }
        if scalar == Some(0) {
            self.local.retain(Under::is_lds);
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
        // Loads fill their registers in the order they were begun in: one may follow another into the same.
        let load = i.text.starts_with("global_load") && !i.text.contains("_d16");
        for (index, operand) in i.operands.iter().enumerate() {
            let ordered = load && index == 0;
            let overlaps = |at: usize, first: usize, count: usize| at < first + count && first < at + operand.count;
            match operand.place {
                Place::Vector(at) => {
                    let local =
                        |u: &Under| matches!(u, Under::Lds { first, count, .. } if overlaps(at, *first, *count));
                    if !ordered && self.vector.iter().any(|(first, count)| overlaps(at, *first, *count)) {
                        return Err(format!("uses {} before vmcnt (loadcnt) has waited for it", name(at)));
                    }
                    if self.local.iter().any(local) {
                        return Err(format!("uses {} before lgkmcnt (dscnt) has waited for it", name(at)));
                    }
                }
                Place::Scalar(at) => {
                    let loads = |u: &Under| matches!(u, Under::Scalar { first, count } if overlaps(at, *first, *count));
                    if self.local.iter().any(loads) {
                        return Err(format!("uses s{at} before lgkmcnt (kmcnt) has waited for it"));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Is register 1, which a load fills in front of a store, there once at most one of them is under way?
    fn there(stores_apart: bool) -> bool {
        let mut waits = Waits::new(stores_apart);
        waits.vector(1, 1);
        waits.store();
        waits.wait([Some(1), None, None, None]);
        waits.vector.is_empty() || waits.vector == [(0, 0)]
    }

    #[test]
    fn stores_have_a_counter_of_their_own_on_gfx11() {
        assert!(there(false) && !there(true));
    }

    #[test]
    fn a_load_may_follow_another_into_a_register() {
        let instruction = |text: &str| {
            let (name, rest) = text.split_once(' ').unwrap();
            let (operands, modifiers) = crate::listing::arguments(name, rest).unwrap();
            let (text, pair) = (text.into(), Vec::new());
            let run =
                |_: &mut crate::wave::Wave, _: &_, _: &mut crate::launch::Block<'_>| Ok(crate::instruction::Flow::Next);
            Instruction { run, operands, modifiers, target: 0, address: 0, text, pair }
        };
        let mut waits = Waits::new(false);
        waits.vector(5, 1);
        assert!(waits.check(&instruction("global_load_dword v5, v[2:3], off")).is_ok());
        for other in ["global_load_dword v2, v[5:6], off", "global_load_short_d16 v5, v[2:3], off", "v_mov_b32 v5, v2"]
        {
            assert!(waits.check(&instruction(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn counters_of_their_own_wait_for_nothing_else() {
        let mut waits = Waits::new(true);
        waits.lds(1, 1, Vec::new());
        waits.scalar(2, 1);
        waits.lds(3, 1, Vec::new());
        waits.wait([None, None, Some(1), None]);
        assert!(matches!(waits.local[..], [Under::Scalar { first: 2, .. }, Under::Lds { first: 3, .. }]));
        // Scalar loads come in any order: nobody knows which of two is there.
        waits.wait([None, None, None, Some(1)]);
        assert_eq!(waits.local.len(), 2);
        waits.wait([None, None, None, Some(0)]);
        assert!(matches!(waits.local[..], [Under::Lds { first: 3, .. }]));
    }
}
