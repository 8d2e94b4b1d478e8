//! The same kernels through Dawn, whose compiler of WGSL is another one (Tint): what wgpu's takes and that one refuses, or both
//! take differently, is found here. Dawn runs in Node (tools/dawn); plans, bindings and parameters are the backend's own.

mod peer;

use super::bind::{Located, NOTHINGS, Operands, nothing};
use super::device::Capabilities;
use super::launch::Launch;
use super::memory::whole_words;
use super::plan::{Chosen, WgpuOp, chosen};
use super::source::source;
use crate::backend::{Arch, Backend, DeviceInfo, Hint, Provide, Runtime, Scratch};
use crate::error::Error;
use crate::op::ArgSet;
use crate::tensor::ViewMut;
use dropless_kernels_wgsl::{Artifact, Kernel};
use peer::Peer;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A device of Dawn's with WebGPU's default limits. Clones share it.
#[derive(Clone)]
pub struct Dawn {
    shared: Arc<Shared>,
}

struct Shared {
    peer: Mutex<Peer>,
    info: DeviceInfo,
    capabilities: Capabilities,
    /// Text of each pipeline, and its number over there.
    pipelines: Mutex<HashMap<String, usize>>,
}

/// A place in a buffer.
#[derive(Clone, Debug)]
pub struct Mem {
    buffer: u64,
    size: u64,
    offset: u64,
}

/// Device memory, freed on drop.
pub struct Buffer {
    id: u64,
    bytes: usize,
    shared: Arc<Shared>,
}

/// Dispatches, and their parameters one behind the other.
#[derive(Default)]
pub struct Recording {
    dispatches: Vec<Value>,
    words: Vec<u32>,
}

/// A chosen variant, compiled.
pub struct Plan {
    artifact: &'static Artifact,
    stages: Vec<(&'static Kernel, Launch)>,
    scratch: usize,
}

impl Located for Mem {
    fn at(&self) -> u64 {
        self.offset
    }

    fn buffer_size(&self) -> u64 {
        self.size
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A device that is gone has freed it.
        let _ = self.shared.ask(json!({ "request": "free", "id": self.id }), &[]);
    }
}

impl Shared {
    fn ask(&self, header: Value, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).ask(&header, bytes)
    }

    fn pipeline(&self, artifact: &Artifact, kernel: &Kernel, launch: &Launch) -> Result<usize, Error> {
        // wgpu refuses the word, Tint wants it.
        let word = if artifact.needs.contains(&"SUBGROUP") { "enable subgroups;\n" } else { "" };
        let text = [word, &source(artifact, kernel, launch)].concat();
        let mut known = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.get(&text) {
            return Ok(*number);
        }
        let header = json!({ "request": "pipeline", "entry": kernel.name, "bindings": launch.bindings.len() });
        self.ask(header, text.as_bytes())?;
        let number = known.len();
        known.insert(text, number);
        Ok(number)
    }
}

impl Dawn {
    /// Starts Node with tools/dawn/serve.mjs, which lies in `folder`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no Node, its packages are not installed, or Dawn finds no adapter.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        let unavailable = |reason| Error::Unavailable { backend: Dawn::NAME, reason };
        let (peer, found) = Peer::start(folder).map_err(unavailable)?;
        let has = |name: &str| found["features"].as_array().is_some_and(|all| all.iter().any(|f| f == name));
        let features = [("shader-f16", wgpu::Features::SHADER_F16), ("subgroups", wgpu::Features::SUBGROUP)];
        let features = features.into_iter().filter(|(name, _)| has(name)).map(|(_, feature)| feature);
        let subgroup = |i: usize| found["subgroups"][i].as_u64().unwrap_or(0) as u32;
        let capabilities = Capabilities {
            features: features.fold(wgpu::Features::empty(), |all, f| all | f),
            subgroups: (subgroup(0), subgroup(1)),
            ..Capabilities::default()
        };
        let info = DeviceInfo {
            name: found["name"].as_str().unwrap_or_default().into(),
            arch: Arch::Wgsl,
            units: 1,
            shared_bytes: capabilities.limits.max_compute_workgroup_storage_size,
        };
        let shared = Shared { peer: Mutex::new(peer), info, capabilities, pipelines: Mutex::default() };
        // For what is absent. Numbers of others begin at 1.
        shared.ask(json!({ "request": "alloc", "id": 0, "size": NOTHINGS }), &[])?;
        Ok(Dawn { shared: Arc::new(shared) })
    }

    /// Distinct texts that were compiled.
    pub fn texts(&self) -> usize {
        self.shared.pipelines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Backend for Dawn {
    const NAME: &'static str = "dawn";
    type Mem = Mem;
    type Queue<'q> = Recording;

    fn device(&self) -> &DeviceInfo {
        &self.shared.info
    }

    fn offset(mem: &Mem, bytes: usize) -> Mem {
        Mem { offset: mem.offset + bytes as u64, ..*mem }
    }
}

impl Runtime for Dawn {
    type Buffer = Buffer;

    fn alloc(&self, bytes: usize) -> Result<Buffer, Error> {
        let size = bytes.max(1).next_multiple_of(4);
        let id = self.shared.peer.lock().unwrap_or_else(PoisonError::into_inner).new_id();
        self.shared.ask(json!({ "request": "alloc", "id": id, "size": size }), &[])?;
        Ok(Buffer { id, bytes, shared: self.shared.clone() })
    }

    fn mem(&self, buffer: &Buffer) -> Mem {
        Mem { buffer: buffer.id, size: buffer.bytes.max(1).next_multiple_of(4) as u64, offset: 0 }
    }

    fn write(&self, buffer: &mut Buffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let read = |first: usize, words: &mut [u8]| self.read_words(buffer.id, first, words);
        let (first, whole) = whole_words(bytes, offset, buffer.bytes, read)?;
        if !whole.is_empty() {
            self.shared.ask(json!({ "request": "write", "id": buffer.id, "offset": first }), &whole)?;
        }
        Ok(())
    }

    fn read(&self, buffer: &Buffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        if into.is_empty() {
            return Ok(());
        }
        let first = offset / 4 * 4;
        let mut words = vec![0; (offset + into.len()).next_multiple_of(4) - first];
        self.read_words(buffer.id, first, &mut words)?;
        into.copy_from_slice(&words[offset - first..][..into.len()]);
        Ok(())
    }

    fn submit<R>(&self, record: impl FnOnce(&mut Recording) -> Result<R, Error>) -> Result<R, Error> {
        let mut recording = Recording::default();
        let made = record(&mut recording)?;
        let header = json!({ "request": "run", "dispatches": recording.dispatches });
        self.shared.ask(header, bytemuck::cast_slice(&recording.words))?;
        Ok(made)
    }
}

impl Dawn {
    fn read_words(&self, buffer: u64, first: usize, into: &mut [u8]) -> Result<(), Error> {
        let header = json!({ "request": "read", "id": buffer, "offset": first, "size": into.len() });
        let bytes = self.shared.ask(header, &[])?;
        if bytes.len() != into.len() {
            return Err(Error::input("buffer", format!("{} bytes came for {}", bytes.len(), into.len())));
        }
        into.copy_from_slice(&bytes);
        Ok(())
    }
}

impl<O: WgpuOp> Provide<O> for Dawn {
    type Plan = Plan;

    fn plan(&self, op: &O, hint: Hint<'_>) -> Result<Plan, Error> {
        let Chosen { artifact, stages, scratch } = chosen(op, &self.shared.capabilities, hint)?;
        for (kernel, launch) in &stages {
            self.shared.pipeline(artifact, kernel, launch)?;
        }
        Ok(Plan { artifact, stages, scratch })
    }

    fn variant(plan: &Plan) -> &str {
        plan.artifact.variant
    }

    fn scratch(plan: &Plan) -> Scratch {
        Scratch { bytes: plan.scratch, align: 256 }
    }

    fn enqueue(
        &self,
        plan: &Plan,
        args: O::Args<'_, Self>,
        scratch: ViewMut<'_, Self>,
        recording: &mut Recording,
    ) -> Result<(), Error> {
        let operands = Operands::<Dawn>::new(O::NAME, args.views(), scratch.mem().clone(), &self.shared.capabilities);
        for (kernel, launch) in plan.stages.iter().filter(|(_, launch)| operands.wants(launch)) {
            let bound = operands.bound(launch)?;
            let launch = if bound.in_words { launch } else { &launch.anywhere() };
            let pipeline = self.shared.pipeline(plan.artifact, kernel, launch)?;
            let place = |(i, place): (usize, &Option<(Mem, u64, u64)>)| match (place, nothing(i)) {
                (Some((mem, offset, size)), _) => [mem.buffer, *offset, *size],
                (None, (offset, size)) => [0, offset, size],
            };
            recording.dispatches.push(json!({
                "pipeline": pipeline,
                "size": bound.words.len() * 4,
                "bound": bound.places.iter().enumerate().map(place).collect::<Vec<_>>(),
                "groups": launch.groups(),
            }));
            recording.words.extend(bound.words);
        }
        Ok(())
    }
}
