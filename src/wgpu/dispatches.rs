//! Dispatches, ready to be made: those of a call are a pass of its encoder; those of calls recorded to be replayed are kept, and
//! all of them together are one pass. wgpu begins two command buffers for every pass, which costs more than a small kernel.

use super::bind::{Bound, nothing};
use super::device::{Device, Pipeline, caught};
use super::launch::Launch;
use super::memory::Mem;
use crate::error::Error;
use std::cell::RefCell;
use std::num::NonZeroU64;

/// One dispatch. Its bind group keeps its buffers alive.
pub(super) struct Dispatch {
    pub(super) op: &'static str,
    pub(super) kernel: &'static str,
    pub(super) items: usize,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 2],
}

impl Dispatch {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let [x, y] = self.workgroups;
        pass.dispatch_workgroups(x, y, 1);
    }
}

/// Records a pass of dispatches.
pub(super) fn pass(encoder: &mut wgpu::CommandEncoder, label: &str, dispatches: &[Dispatch]) {
    let label = Some(label);
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
    dispatches.iter().for_each(|dispatch| dispatch.record(&mut pass));
}

/// The encoder whose dispatches are kept, by its address, and those that it was given.
type Kept = Option<(*const wgpu::CommandEncoder, Vec<Dispatch>)>;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(None) };
}

/// Puts back what was kept before.
struct Restored(Kept);

impl Drop for Restored {
    fn drop(&mut self) {
        KEPT.set(self.0.take());
    }
}

/// The dispatches of calls. Whatever else they record is an error that names `what`: a pass is open.
pub(super) fn kept(
    device: &wgpu::Device,
    what: &str,
    calls: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<(), Error>,
) -> Result<Vec<Dispatch>, Error> {
    let (made, dispatches) = caught(device, what, || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let open = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime();
        let _restored = Restored(KEPT.replace(Some((&raw const encoder, Vec::new()))));
        let made = calls(&mut encoder);
        drop(open);
        encoder.finish();
        (made, KEPT.take())
    })?;
    made?;
    Ok(dispatches.map(|(_, dispatches)| dispatches).unwrap_or_default())
}

/// Keeps the dispatches of a call where this encoder's are kept; else they are a pass.
pub(super) fn make(encoder: &mut wgpu::CommandEncoder, op: &'static str, dispatches: Vec<Dispatch>) {
    let address = &raw const *encoder;
    let left = KEPT.with_borrow_mut(|kept| match kept {
        Some((of, all)) if *of == address => {
            all.extend(dispatches);
            None
        }
        _ => Some(dispatches),
    });
    if let Some(dispatches) = left {
        pass(encoder, op, &dispatches);
    }
}

impl Device {
    /// A launch with what it binds.
    pub(super) fn dispatch(
        &self,
        op: &'static str,
        pipeline: &Pipeline,
        launch: &Launch,
        bound: &Bound<Mem>,
    ) -> Result<Dispatch, Error> {
        let group = caught(&self.device, op, || self.group(op, pipeline, bound))?;
        let (kernel, items, workgroups) = (launch.kernel, launch.items, launch.groups());
        Ok(Dispatch { op, kernel, items, pipeline: pipeline.pipeline.clone(), group, workgroups })
    }

    fn group(&self, op: &str, pipeline: &Pipeline, bound: &Bound<Mem>) -> wgpu::BindGroup {
        let uniform = self.uniform(bytemuck::cast_slice(&bound.words).to_vec());
        let storage = bound.places.iter().enumerate().map(|(i, place)| {
            let (buffer, (offset, size)) = match place {
                Some((mem, offset, size)) => (&mem.buffer, (*offset, *size)),
                None => (&self.nothing, nothing(i)),
            };
            let size = NonZeroU64::new(size);
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
            wgpu::BindGroupEntry { binding: i as u32 + 1, resource }
        });
        let first = wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() };
        let entries: Vec<_> = std::iter::once(first).chain(storage).collect();
        let layout = &pipeline.layout;
        self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(op), layout, entries: &entries })
    }
}
