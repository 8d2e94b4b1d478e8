//! Launches captured once in a graph, replayed and timed on the runtime's stream.

use super::api::Handle;
use super::driver::Device;
use super::{Hip, Stream};
use crate::backend::{Replay, Timing};
use crate::error::Error;
use std::marker::PhantomData;
use std::sync::Arc;

/// hipStreamCaptureModeThreadLocal.
const THREAD_LOCAL: i32 = 1;
/// hipStreamNonBlocking.
const NON_BLOCKING: u32 = 1;

/// An instantiated graph. It holds the addresses of the operands that it was captured with, and so borrows them, or keeps
/// the calls that own them.
pub struct Graph<'a> {
    exec: Exec,
    _calls: Option<Calls<'a>>,
    operands: PhantomData<&'a ()>,
}

type Calls<'a> = Box<dyn Fn(&mut Stream<'_>) -> Result<(), Error> + Send + 'a>;

struct Exec {
    raw: Handle,
    device: Arc<Device>,
}

// SAFETY: a handle of the runtime; one graph is not launched from two threads at once, and the raw pointer keeps this from
// being `Sync`.
unsafe impl Send for Exec {}

impl Drop for Exec {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: instantiated in `capture`.
            let _ = unsafe { (self.device.api().call.graph_exec_destroy)(self.raw) };
        }
    }
}

/// A stream of its own, so that work of other threads on the runtime's stream is not captured.
struct Capturing<'d> {
    stream: Handle,
    device: &'d Device,
}

impl Drop for Capturing<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `capture`, where its capture has ended.
        let _ = unsafe { (self.device.api().call.stream_destroy)(self.stream) };
    }
}

impl Hip {
    /// Captures what `record` enqueues. It may launch and nothing else: plans, allocations and copies come before.
    ///
    /// # Errors
    /// What `record` returns, or [`Error::Device`] where the runtime refuses to capture it.
    pub fn capture<'a>(
        &self,
        record: impl FnOnce(&mut Stream<'_>) -> Result<(), Error> + 'a,
    ) -> Result<Graph<'a>, Error> {
        let (device, call) = (&*self.device, &self.device.api().call);
        let _entered = device.enter()?;
        let mut stream = std::ptr::null_mut();
        // SAFETY: writes one handle.
        device.said("hipStreamCreateWithFlags", unsafe { (call.stream_create)(&mut stream, NON_BLOCKING) })?;
        let capturing = Capturing { stream, device };
        // SAFETY: a stream of this device.
        device.said("hipStreamBeginCapture", unsafe { (call.begin_capture)(stream, THREAD_LOCAL) })?;
        let recorded = record(&mut Stream { raw: stream, owner: PhantomData });
        let mut graph = std::ptr::null_mut();
        // SAFETY: begun above; it must end also where recording failed.
        let ended = device.said("hipStreamEndCapture", unsafe { (call.end_capture)(stream, &mut graph) });
        drop(capturing);
        recorded.and(ended)?;
        let (mut raw, node, log) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the graph was just captured; nobody wants to read a log.
        let instantiated = unsafe { (call.graph_instantiate)(&mut raw, graph, node, log, 0) };
        // SAFETY: what was instantiated does not need it any more.
        let _ = unsafe { (call.graph_destroy)(graph) };
        device.said("hipGraphInstantiate", instantiated)?;
        Ok(Graph { exec: Exec { raw, device: self.device.clone() }, _calls: None, operands: PhantomData })
    }
}

/// A point in a stream, with its time.
struct Event<'d> {
    raw: Handle,
    device: &'d Device,
}

impl<'d> Event<'d> {
    fn record(device: &'d Device) -> Result<Self, Error> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle.
        device.said("hipEventCreate", unsafe { (device.api().call.event_create)(&mut raw) })?;
        let event = Event { raw, device };
        // SAFETY: event and stream are of this device, which the caller has entered.
        device.said("hipEventRecord", unsafe { (device.api().call.event_record)(raw, device.stream()) })?;
        Ok(event)
    }

    /// Seconds from this to `later`, once that has happened.
    fn until(&self, later: &Event<'_>) -> Result<f64, Error> {
        let mut milliseconds = 0.0;
        // SAFETY: both were recorded.
        let code = unsafe { (self.device.api().call.event_elapsed)(&mut milliseconds, self.raw, later.raw) };
        self.device.said("hipEventElapsedTime", code)?;
        Ok(f64::from(milliseconds) * 1e-3)
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: created in `record`.
        let _ = unsafe { (self.device.api().call.event_destroy)(self.raw) };
    }
}

impl Replay for Hip {
    type Recorded<'a> = Graph<'a>;

    fn record<'a>(&self, calls: impl Fn(&mut Stream<'_>) -> Result<(), Error> + Send + 'a) -> Result<Graph<'a>, Error> {
        let Graph { exec, .. } = self.capture(&calls)?;
        Ok(Graph { exec, _calls: Some(Box::new(calls)), operands: PhantomData })
    }

    fn replay(&self, graph: &Graph<'_>) -> Result<(), Error> {
        let device = &self.device;
        let _entered = device.enter()?;
        // SAFETY: an instantiated graph and a stream of this device.
        device.said("hipGraphLaunch", unsafe { (device.api().call.graph_launch)(graph.exec.raw, device.stream()) })
    }
}

impl Timing for Hip {
    fn time(&self, graph: &Graph<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let _entered = self.device.enter()?;
        let mut events = vec![Event::record(&self.device)?];
        for _ in 0..replays {
            self.replay(graph)?;
            events.push(Event::record(&self.device)?);
        }
        self.finish()?;
        events.windows(2).map(|pair| pair[0].until(&pair[1])).collect()
    }

    fn cache_bytes(&self) -> usize {
        self.device.cache_bytes()
    }
}
