//! Bind groups of recorded calls: a replay takes those that the recording made.

use crate::error::Error;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a bind group is made of: its layout, the uniform buffer's words, and what else is bound.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) words: Vec<u32>,
    pub(super) bound: Vec<(wgpu::Buffer, u64, u64)>,
}

/// The bind groups of one recording. They keep buffers alive, as the recording does that owns them.
#[derive(Clone, Default)]
pub(super) struct Groups(Arc<Mutex<HashMap<Key, wgpu::BindGroup>>>);

thread_local! {
    /// Those of the recording whose calls this thread is making.
    static CURRENT: RefCell<Option<Groups>> = const { RefCell::new(None) };
}

/// Puts back what was current before.
struct Restored(Option<Groups>);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl Groups {
    /// Runs `calls` so that they find these groups.
    pub(super) fn during<R>(&self, calls: impl FnOnce() -> R) -> R {
        let _restored = Restored(CURRENT.replace(Some(self.clone())));
        calls()
    }
}

/// A group of the current recording's, or a new one.
pub(super) fn group(
    key: Key,
    make: impl FnOnce(&Key) -> Result<wgpu::BindGroup, Error>,
) -> Result<wgpu::BindGroup, Error> {
    let Some(groups) = CURRENT.with_borrow(Clone::clone) else { return make(&key) };
    let known = |groups: &Groups| groups.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some(group) = known(&groups) {
        return Ok(group);
    }
    let made = make(&key)?;
    groups.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
    Ok(made)
}
