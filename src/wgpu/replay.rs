//! Calls made again and again, and how long they take.

use super::Wgpu;
use super::device::caught;
use super::dispatches::{Dispatch, kept, pass};
use super::memory::WgpuBuffer;
use crate::backend::{Fetch, LaunchTime, Replay, Runtime, Timing};
use crate::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The dispatches of calls, which each replay records again because wgpu's command buffers run once: right behind the replay
/// before, while the device is busy with that.
pub struct Recorded<'a> {
    dispatches: Vec<Dispatch>,
    next: Mutex<Option<wgpu::CommandBuffer>>,
    /// They own what the dispatches run on.
    _calls: Box<Calls<'a>>,
}

type Calls<'a> = dyn Fn(&mut wgpu::CommandEncoder) -> Result<(), Error> + Send + 'a;

impl Wgpu {
    fn encode(&self, dispatches: &[Dispatch]) -> Result<wgpu::CommandBuffer, Error> {
        let device = &self.device.device;
        caught(device, "recording", || {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            pass(&mut encoder, "dropless", dispatches);
            encoder.finish()
        })
    }
}

impl Replay for Wgpu {
    type Recorded<'a> = Recorded<'a>;

    fn record<'a>(
        &self,
        calls: impl Fn(&mut wgpu::CommandEncoder) -> Result<(), Error> + Send + 'a,
    ) -> Result<Recorded<'a>, Error> {
        let dispatches = kept(&self.device.device, "recording calls of kernels, and nothing else", &calls)?;
        let next = Mutex::new(Some(self.encode(&dispatches)?));
        Ok(Recorded { dispatches, next, _calls: Box::new(calls) })
    }

    fn replay(&self, recorded: &Recorded<'_>) -> Result<(), Error> {
        let mut next = recorded.next.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = match next.take() {
            Some(commands) => commands,
            None => self.encode(&recorded.dispatches)?,
        };
        caught(&self.device.device, "submitting", || self.device.queue.submit([commands]))?;
        // What hinders it is said by the replay that needs it.
        *next = self.encode(&recorded.dispatches).ok();
        Ok(())
    }

    /// Between a device that is done and the next submission lies a good part of a small model's step.
    const AHEAD: bool = true;

    fn fetch(&self, buffer: &WgpuBuffer, offset: usize, bytes: usize) -> Result<Fetch, Error> {
        let (words, mut read) = (offset.is_multiple_of(4) && bytes.is_multiple_of(4), vec![0; bytes]);
        if bytes == 0 || !words {
            self.read(buffer, offset, &mut read)?;
            return Ok(Box::new(|| Ok(read)));
        }
        let copied = self.copy_out(buffer.holds(offset, bytes)?, offset, bytes)?;
        Ok(Box::new(move || copied.wait(&mut read).map(|()| read)))
    }
}

/// Features that let a device's own clock be read between dispatches.
pub(super) const CLOCK: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);
/// Readings of the clock that one set of queries has room for.
const MOST_READINGS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

/// Readings of the device's clock.
struct Readings {
    queries: wgpu::QuerySet,
    ticks: wgpu::Buffer,
    count: usize,
}

impl Wgpu {
    fn readings(&self, count: usize) -> Result<Readings, Error> {
        let (device, ty) = (&self.device.device, wgpu::QueryType::Timestamp);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        caught(device, "making timestamp queries", || {
            let set = wgpu::QuerySetDescriptor { label: None, ty, count: count as u32 };
            let size = 8 * count as u64;
            let buffer = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            Readings { queries: device.create_query_set(&set), ticks: device.create_buffer(&buffer), count }
        })
    }

    /// Seconds, from some moment on, of readings that are submitted.
    fn seconds(&self, readings: &Readings) -> Result<Vec<f64>, Error> {
        self.submit(|encoder| {
            encoder.resolve_query_set(&readings.queries, 0..readings.count as u32, &readings.ticks, 0);
            Ok(())
        })?;
        let mut read = vec![0; 8 * readings.count];
        self.read_words(&readings.ticks, 0, &mut read)?;
        let (ticks, _) = read.as_chunks::<8>();
        let first = ticks.first().map_or(0, |first| u64::from_le_bytes(*first));
        let period = f64::from(self.device.queue.get_timestamp_period()) * 1e-9;
        Ok(ticks.iter().map(|tick| u64::from_le_bytes(*tick).wrapping_sub(first) as i64 as f64 * period).collect())
    }

    /// By the device's clock: both ends of each replay.
    fn time_some(&self, recorded: &Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let readings = self.readings(2 * replays)?;
        for i in 0..replays as u32 {
            self.submit(|encoder| {
                encoder.write_timestamp(&readings.queries, 2 * i);
                pass(encoder, "dropless", &recorded.dispatches);
                encoder.write_timestamp(&readings.queries, 2 * i + 1);
                Ok(())
            })?;
        }
        Ok(self.seconds(&readings)?.as_chunks::<2>().0.iter().map(|[start, end]| end - start).collect())
    }
}

impl Timing for Wgpu {
    fn time(&self, recorded: &Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let mut times = Vec::with_capacity(replays);
        if self.device.capabilities.features.contains(CLOCK) {
            while times.len() < replays {
                times.extend(self.time_some(recorded, (MOST_READINGS / 2).min(replays - times.len()))?);
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

    fn launches(&self, recorded: &Recorded<'_>) -> Result<Vec<LaunchTime>, Error> {
        if !self.device.capabilities.features.contains(CLOCK) {
            return Ok(Vec::new());
        }
        let (mut times, some) = (Vec::with_capacity(recorded.dispatches.len()), MOST_READINGS - 1);
        for dispatches in recorded.dispatches.chunks(some) {
            let readings = self.readings(dispatches.len() + 1)?;
            self.submit(|encoder| {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                pass.write_timestamp(&readings.queries, 0);
                for (i, dispatch) in dispatches.iter().enumerate() {
                    dispatch.record(&mut pass);
                    pass.write_timestamp(&readings.queries, i as u32 + 1);
                }
                Ok(())
            })?;
            let seconds = self.seconds(&readings)?;
            times.extend(dispatches.iter().zip(seconds.windows(2)).map(|(d, ends)| LaunchTime {
                op: d.op,
                kernel: d.kernel,
                workgroups: d.items,
                seconds: ends[1] - ends[0],
            }));
        }
        Ok(times)
    }

    /// No interface tells; the last-level caches of most GPUs are smaller.
    fn cache_bytes(&self) -> usize {
        128 << 20
    }
}
