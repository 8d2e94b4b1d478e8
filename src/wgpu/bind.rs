//! The operands of one call as a bind group.

use super::Wgpu;
use super::choose::fits;
use super::device::{Device, Pipeline, caught};
use super::groups::{self, Key};
use super::launch::{Binding, From, Kind, Launch};
use super::memory::Mem;
use super::source::{params, view_vectors};
use crate::backend::Backend;
use crate::error::Error;
use crate::op::ArgViews;
use crate::tensor::ViewInfo;
use std::num::NonZeroU64;

/// The operands of one call.
pub(super) struct Operands<'a> {
    op: &'static str,
    views: ArgViews<Wgpu>,
    scratch: Mem,
    device: &'a Device,
}

/// What is bound, and what its kernel adds to that: the first element, and elements from row to row.
struct Place {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
    view: [u32; 2],
}

impl<'a> Operands<'a> {
    pub(super) fn new(op: &'static str, views: ArgViews<Wgpu>, scratch: Mem, device: &'a Device) -> Self {
        Operands { op, views, scratch, device }
    }

    pub(super) fn view(&self, name: &str) -> Option<&(Mem, ViewInfo)> {
        self.views.iter().find(|(n, _)| *n == name).and_then(|(_, view)| view.as_ref())
    }

    /// The bind group of a launch.
    pub(super) fn group(&self, pipeline: &Pipeline, launch: &Launch) -> Result<wgpu::BindGroup, Error> {
        let mut words = vec![0u32; 4 * view_vectors(launch)];
        let mut places = Vec::with_capacity(launch.bindings.len());
        for (binding, view) in launch.bindings.iter().zip(words.chunks_exact_mut(2)) {
            let place = self.place(binding)?;
            view.copy_from_slice(&place.view);
            places.push(place);
        }
        words.extend(params(launch).map(|(_, param)| param.bits()));
        words.resize(words.len().next_multiple_of(4), 0);
        let bound = places.into_iter().map(|place| (place.buffer, place.offset, place.size)).collect();
        groups::group(Key { layout: pipeline.layout.clone(), words, bound }, |key| {
            caught(&self.device.device, self.op, || self.make(key))
        })
    }

    fn make(&self, key: &Key) -> wgpu::BindGroup {
        let uniform = self.device.uniform(bytemuck::cast_slice(&key.words).to_vec());
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
        self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.op),
            layout: &key.layout,
            entries: &entries,
        })
    }

    fn place(&self, binding: &Binding) -> Result<Place, Error> {
        let (name, mem, bytes, stride) = match &binding.from {
            From::Scratch { bytes, stride } => {
                ("scratch", Wgpu::offset(&self.scratch, bytes.start), bytes.len(), *stride)
            }
            From::Operand { name, rows } => {
                let Some((mem, info)) = self.view(name) else { return Ok(self.nothing()) };
                let rows = rows.clone().unwrap_or(0..info.shape.dims().first().copied().unwrap_or(1));
                // Everything was found to fit the address space when the operands were bound to the spec.
                let row = info.row_stride * info.dtype.bytes();
                let bytes = match rows.len() {
                    0 => 0,
                    n => (n - 1) * row + info.shape.row_len() * info.dtype.bytes(),
                };
                (*name, Wgpu::offset(mem, rows.start * row), bytes, info.row_stride)
            }
        };
        if bytes == 0 {
            return Ok(self.nothing());
        }
        let problem = |words: String| Error::input(format!("{} `{name}`", self.op), words);
        let limits = &self.device.capabilities.limits;
        // Bindings begin at multiples of an alignment; kernels skip what lies in front of the view. They read whole words.
        let offset = mem.offset - mem.offset % u64::from(limits.min_storage_buffer_offset_alignment.max(4));
        let end = (mem.offset + bytes as u64).next_multiple_of(4);
        let (skipped, element) = (mem.offset - offset, element_bytes(binding.kind));
        if !skipped.is_multiple_of(element) {
            return Err(problem(format!("must begin at a multiple of {element} bytes, it is at {}", mem.offset)));
        }
        if end > mem.buffer.size() {
            let have = mem.buffer.size();
            return Err(problem(format!("needs {end} bytes of its buffer, whole words counted; there are {have}")));
        }
        fits(name, end - offset, &self.device.capabilities).map_err(problem)?;
        let stride = match binding.kind {
            Kind::Vectors(dtype) => stride * dtype.bytes() / element as usize,
            Kind::Halves => stride / 4,
            _ => stride,
        };
        let stride = u32::try_from(stride).map_err(|_| problem(format!("has rows {stride} elements apart")))?;
        Ok(Place { buffer: mem.buffer, offset, size: end - offset, view: [(skipped / element) as u32, stride] })
    }

    fn nothing(&self) -> Place {
        Place { buffer: self.device.nothing.clone(), offset: 0, size: 256, view: [0, 0] }
    }
}

fn element_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Reads(dtype) | Kind::Writes(dtype) => dtype.bytes() as u64,
        Kind::Ints | Kind::Status => 4,
        Kind::Bytes => 1,
        Kind::Vectors(_) => 16,
        Kind::Halves => 8,
    }
}
