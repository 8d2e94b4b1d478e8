//! Bind groups of recorded calls: a replay takes those that the recording made.

use super::bind::{Bound, nothing};
use super::device::{Device, Pipeline, caught};
use super::memory::Mem;
use crate::error::Error;
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

/// What a bind group is made of: its layout, the uniform buffer's words, and what else is bound.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    layout: wgpu::BindGroupLayout,
    words: Vec<u32>,
    bound: Vec<(wgpu::Buffer, u64, u64)>,
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
fn known_or(key: Key, make: impl FnOnce(&Key) -> Result<wgpu::BindGroup, Error>) -> Result<wgpu::BindGroup, Error> {
    let Some(groups) = CURRENT.with_borrow(Clone::clone) else { return make(&key) };
    let known = |groups: &Groups| groups.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some(group) = known(&groups) {
        return Ok(group);
    }
    let made = make(&key)?;
    groups.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
    Ok(made)
}

impl Device {
    /// The bind group of what a launch binds.
    pub(super) fn group(&self, op: &str, pipeline: &Pipeline, bound: Bound<Mem>) -> Result<wgpu::BindGroup, Error> {
        let place = |(i, place): (usize, Option<(Mem, u64, u64)>)| match (place, nothing(i)) {
            (Some((mem, offset, size)), _) => (mem.buffer, offset, size),
            (None, (offset, size)) => (self.nothing.clone(), offset, size),
        };
        let places = bound.places.into_iter().enumerate().map(place).collect();
        let key = Key { layout: pipeline.layout.clone(), words: bound.words, bound: places };
        known_or(key, |key| caught(&self.device, op, || self.make(op, key)))
    }

    fn make(&self, op: &str, key: &Key) -> wgpu::BindGroup {
        let uniform = self.uniform(bytemuck::cast_slice(&key.words).to_vec());
        let storage = key.bound.iter().enumerate().map(|(i, (buffer, offset, size))| wgpu::BindGroupEntry {
            binding: i as u32 + 1,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: *offset,
                size: NonZeroU64::new(*size),
            }),
        });
        let first = wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() };
        let entries: Vec<_> = std::iter::once(first).chain(storage).collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(op),
            layout: &key.layout,
            entries: &entries,
        })
    }
}
