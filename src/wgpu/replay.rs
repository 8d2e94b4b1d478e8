//! Calls made again and again, and how long they take.

use super::Wgpu;
use super::device::caught;
use super::groups::Groups;
use crate::backend::{Replay, Runtime, Timing};
use crate::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Calls that are made again for each replay, because wgpu's command buffers run once: right behind the replay before, while the
/// device is busy with that.
pub struct Recorded<'a> {
    calls: Box<Calls<'a>>,
    groups: Groups,
    next: Mutex<Option<wgpu::CommandBuffer>>,
}

type Calls<'a> = dyn Fn(&mut wgpu::CommandEncoder) -> Result<(), Error> + Send + 'a;

impl Recorded<'_> {
    fn call(&self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.groups.during(|| (self.calls)(encoder))
    }
}

impl Wgpu {
    fn encode(&self, recorded: &Recorded<'_>) -> Result<wgpu::CommandBuffer, Error> {
        let device = &self.device.device;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        recorded.call(&mut encoder)?;
        caught(device, "recording", || encoder.finish())
    }
}

impl Replay for Wgpu {
    type Recorded<'a> = Recorded<'a>;

    fn record<'a>(
        &self,
        calls: impl Fn(&mut wgpu::CommandEncoder) -> Result<(), Error> + Send + 'a,
    ) -> Result<Recorded<'a>, Error> {
        let recorded = Recorded { calls: Box::new(calls), groups: Groups::default(), next: Mutex::new(None) };
        // What cannot be recorded is found now, as everywhere.
        let first = self.encode(&recorded)?;
        Ok(Recorded { next: Mutex::new(Some(first)), ..recorded })
    }

    fn replay(&self, recorded: &Recorded<'_>) -> Result<(), Error> {
        let mut next = recorded.next.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = match next.take() {
            Some(commands) => commands,
            None => self.encode(recorded)?,
        };
        caught(&self.device.device, "submitting", || self.device.queue.submit([commands]))?;
        // What hinders it is said by the replay that needs it.
        *next = self.encode(recorded).ok();
        Ok(())
    }
}

/// Features that let a device's own clock be read between dispatches.
pub(super) const CLOCK: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
/// Replays that one set of queries has room for.
const MOST_TIMED: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

impl Wgpu {
    /// By the device's clock: both ends of each replay.
    fn time_some(&self, recorded: &Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let (device, queue) = (&self.device.device, &self.device.queue);
        let count = 2 * replays as u32;
        let bytes = 8 * u64::from(count);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let (queries, ticks) = caught(device, "making timestamp queries", || {
            let ty = wgpu::QueryType::Timestamp;
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty, count });
            let size = bytes;
            let buffer = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            (queries, device.create_buffer(&buffer))
        })?;
        for i in 0..replays as u32 {
            self.submit(|encoder| {
                encoder.write_timestamp(&queries, 2 * i);
                recorded.call(encoder)?;
                encoder.write_timestamp(&queries, 2 * i + 1);
                Ok(())
            })?;
        }
        self.submit(|encoder| {
            encoder.resolve_query_set(&queries, 0..count, &ticks, 0);
            Ok(())
        })?;
        let mut read = vec![0; bytes as usize];
        self.read_words(&ticks, 0, &mut read)?;
        let seconds = f64::from(queue.get_timestamp_period()) * 1e-9;
        let (pairs, _) = read.as_chunks::<16>();
        let tick = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        Ok(pairs.iter().map(|p| tick(&p[8..]).saturating_sub(tick(&p[..8])) as f64 * seconds).collect())
    }
}

impl Timing for Wgpu {
    fn time(&self, recorded: &Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let mut times = Vec::with_capacity(replays);
        if self.device.capabilities.features.contains(CLOCK) {
            while times.len() < replays {
                times.extend(self.time_some(recorded, MOST_TIMED.min(replays - times.len()))?);
            }
            return Ok(times);
        }
        for _ in 0..replays {
            let start = Instant::now();
            self.replay(recorded)?;
            self.finish()?;
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(times)
    }

    /// No interface tells; the last-level caches of most GPUs are smaller.
    fn cache_bytes(&self) -> usize {
        128 << 20
    }
}
