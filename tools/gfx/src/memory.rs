//! Device memory: the host's, of which only what was allocated may be touched.

use std::sync::atomic::{AtomicU32, Ordering};

/// Ranges that kernels may touch, by address.
#[derive(Clone, Default)]
pub struct Memory {
    ranges: Vec<(u64, u64)>,
}

impl Memory {
    /// No memory at all.
    pub const fn new() -> Self {
        Memory { ranges: Vec::new() }
    }

    /// Lets kernels touch `bytes` bytes at `address`.
    pub fn add(&mut self, address: u64, bytes: u64) {
        let at = self.ranges.partition_point(|(first, _)| *first < address);
        self.ranges.insert(at, (address, address + bytes));
    }

    /// Takes the range that starts there away; false where there is none.
    pub fn remove(&mut self, address: u64) -> bool {
        match self.ranges.binary_search_by_key(&address, |(first, _)| *first) {
            Ok(at) => {
                self.ranges.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// The range that holds `bytes` bytes from `address` on, as its first address and the one behind it.
    ///
    /// # Errors
    /// What was asked for, where no range holds it all.
    pub fn range(&self, address: u64, bytes: u64) -> Result<(u64, u64), String> {
        let at = self.ranges.partition_point(|(first, _)| *first <= address);
        match at.checked_sub(1).map(|i| self.ranges[i]) {
            Some((first, end)) if bytes <= end.saturating_sub(address) => Ok((first, end)),
            _ => Err(format!("{bytes} bytes at {address:#x} are in no allocation")),
        }
    }

    /// Reads a little-endian word of 1, 2 or 4 bytes. The range must have been checked.
    pub(crate) fn load(address: u64, bytes: usize) -> u32 {
        // SAFETY: `range` has said that these bytes are allocated, and allocations are the host's memory.
        unsafe {
            match bytes {
                1 => u32::from(*(address as *const u8)),
                2 => u32::from((address as *const u16).read_unaligned()),
                _ => (address as *const u32).read_unaligned(),
            }
        }
    }

    /// Writes the low 1, 2 or 4 bytes of a word. The range must have been checked.
    pub(crate) fn store(address: u64, bytes: usize, value: u32) {
        // SAFETY: as in `load`.
        unsafe {
            match bytes {
                1 => *(address as *mut u8) = value as u8,
                2 => (address as *mut u16).write_unaligned(value as u16),
                _ => (address as *mut u32).write_unaligned(value),
            }
        }
    }

    /// Changes a word in one step; gives what was there. The range must have been checked and the address be aligned.
    pub(crate) fn update(address: u64, change: impl Fn(u32) -> u32) -> u32 {
        // SAFETY: as in `load`; blocks that run at the same time use the same atomic word.
        let word = unsafe { AtomicU32::from_ptr(address as *mut u32) };
        let next = |old| Some(change(old));
        word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or_else(|old| old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allocated_may_be_touched() {
        let mut memory = Memory::default();
        memory.add(0x2000, 16);
        memory.add(0x1000, 16);
        assert_eq!(memory.range(0x1008, 8), Ok((0x1000, 0x1010)));
        assert!(memory.range(0x1008, 9).is_err());
        assert!(memory.range(0xfff, 1).is_err());
        assert!(memory.remove(0x1000) && !memory.remove(0x1000));
        assert!(memory.range(0x1008, 8).is_err());
    }
}
