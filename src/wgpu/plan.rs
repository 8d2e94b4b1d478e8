//! What all ops of this backend have in common: the way from a spec to recorded dispatches.

use super::Wgpu;
use super::bind::Operands;
use super::choose::{choose, fits};
use super::device::{Capabilities, Device, Pipeline, Shared};
use super::dispatches;
use super::launch::{From, Launch};
use super::source::MAX_GROUPS;
use crate::backend::{Backend, Hint, Provide, Scratch};
use crate::error::Error;
use crate::op::{ArgSet, Op};
use crate::tensor::ViewMut;
use dropless_kernels_wgsl::{Artifact, Kernel};
use std::sync::OnceLock;

/// An op of this backend: which variants may run it, and what they launch. One file each.
pub trait WgpuOp: Op {
    /// Limits of all variants alike, beyond the spec's own.
    ///
    /// # Errors
    /// Which limit, in words.
    fn limits(&self) -> Result<(), String> {
        Ok(())
    }

    /// May this variant run the spec at all?
    ///
    /// # Errors
    /// Which limit, in words.
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let _ = artifact;
        Ok(())
    }

    /// Should it, where nobody forces it?
    ///
    /// # Errors
    /// What it is better for, in words.
    fn suits(&self, artifact: &Artifact, hint: Hint<'_>) -> Result<(), String> {
        let _ = hint;
        measured(artifact)
    }

    /// Is this operand bound in parts, so that it may be larger than one binding?
    fn windowed(&self, operand: &str) -> bool {
        let _ = operand;
        false
    }

    /// The dispatches of a call, in order, and the bytes of scratch they share.
    ///
    /// # Errors
    /// What of the spec is too large for this device, in words.
    fn launches(&self, artifact: &Artifact, device: &Capabilities) -> Result<Launches, String>;
}

/// Variants with subgroups, or with arithmetic in f16, wait for a device that shows them to be faster.
pub(super) fn measured(artifact: &Artifact) -> Result<(), String> {
    match artifact.needs.iter().any(|feature| ["SUBGROUP", "SHADER_F16"].contains(feature)) {
        true => Err("not chosen: no device has shown it to be faster".into()),
        false => Ok(()),
    }
}

/// The dispatches of a call.
pub struct Launches {
    pub(super) list: Vec<Launch>,
    pub(super) scratch: usize,
}

impl Launches {
    /// Dispatches without scratch.
    pub(super) fn of<const N: usize>(list: [Launch; N]) -> Result<Self, String> {
        Ok(Launches { list: list.into(), scratch: 0 })
    }
}

/// Does a device take these dispatches?
///
/// # Errors
/// What is too large, in words.
pub(super) fn within(launches: &Launches, device: &Capabilities) -> Result<(), String> {
    let most = device.limits.max_buffer_size;
    if launches.scratch as u64 > most {
        return Err(format!("scratch takes {} bytes, a buffer of the device has up to {most}", launches.scratch));
    }
    for launch in &launches.list {
        if launch.items > MAX_GROUPS * MAX_GROUPS {
            return Err(format!("{} workgroups are more than one dispatch has", launch.items));
        }
        for binding in &launch.bindings {
            if let From::Scratch { bytes, .. } = &binding.from {
                fits("scratch", bytes.len() as u64, device)?;
            }
        }
    }
    Ok(())
}

/// A chosen variant: its dispatches, each with its kernel, and the bytes of scratch they share.
pub(super) struct Chosen {
    pub(super) artifact: &'static Artifact,
    pub(super) stages: Vec<(&'static Kernel, Launch)>,
    pub(super) scratch: usize,
}

/// What runs `op` on a device.
pub(super) fn chosen<O: WgpuOp>(op: &O, device: &Capabilities, hint: Hint<'_>) -> Result<Chosen, Error> {
    let unsupported = |reason| Error::Unsupported { backend: Wgpu::NAME, op: O::NAME, reason };
    let artifact = choose(op, device, hint)?.artifact;
    let Launches { list, scratch } = op.launches(artifact, device).map_err(unsupported)?;
    let mut stages = Vec::with_capacity(list.len());
    for launch in list {
        let kernel = artifact.kernels.iter().find(|k| k.name == launch.kernel);
        stages.push((kernel.ok_or_else(|| unsupported(format!("no kernel `{}`", launch.kernel)))?, launch));
    }
    Ok(Chosen { artifact, stages, scratch })
}

/// A chosen variant, compiled. Where rows of some operand of a call begin in the middle of a word, a kernel may be compiled once more
/// when that call is recorded: the first such one.
pub struct Plan {
    artifact: &'static Artifact,
    stages: Vec<Stage>,
    scratch: usize,
    device: Shared,
}

/// A dispatch, compiled.
struct Stage {
    kernel: &'static Kernel,
    launch: Launch,
    pipeline: Pipeline,
    anywhere: OnceLock<Pipeline>,
}

impl Stage {
    fn new(artifact: &Artifact, kernel: &'static Kernel, launch: Launch, device: &Device) -> Result<Self, Error> {
        let pipeline = device.pipeline(artifact, kernel, &launch)?;
        Ok(Stage { kernel, launch, pipeline, anywhere: OnceLock::new() })
    }

    /// What runs it on operands whose rows begin at words, or not.
    fn pipeline(&self, artifact: &Artifact, device: &Device, in_words: bool) -> Result<&Pipeline, Error> {
        if in_words || !self.launch.in_words {
            return Ok(&self.pipeline);
        }
        if let Some(pipeline) = self.anywhere.get() {
            return Ok(pipeline);
        }
        let pipeline = device.pipeline(artifact, self.kernel, &self.launch.anywhere())?;
        Ok(self.anywhere.get_or_init(|| pipeline))
    }
}

impl<O: WgpuOp> Provide<O> for Wgpu {
    type Plan = Plan;

    fn plan(&self, op: &O, hint: Hint<'_>) -> Result<Plan, Error> {
        let Chosen { artifact, stages, scratch } = chosen(op, &self.device.capabilities, hint)?;
        let compiled = |(kernel, launch)| Stage::new(artifact, kernel, launch, &self.device);
        let stages = stages.into_iter().map(compiled).collect::<Result<_, _>>()?;
        Ok(Plan { artifact, stages, scratch, device: self.device.clone() })
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
        encoder: &mut wgpu::CommandEncoder,
    ) -> Result<(), Error> {
        let operands = Operands::<Wgpu>::new(O::NAME, args.views(), scratch.mem().clone(), &plan.device.capabilities);
        let mut dispatches = Vec::with_capacity(plan.stages.len());
        for stage in plan.stages.iter().filter(|stage| operands.wants(&stage.launch)) {
            let bound = operands.bound(&stage.launch)?;
            let pipeline = stage.pipeline(plan.artifact, &plan.device, bound.in_words)?;
            dispatches.push(plan.device.dispatch(O::NAME, pipeline, &stage.launch, &bound)?);
        }
        // Nothing was recorded where an operand could not be bound.
        dispatches::make(encoder, O::NAME, dispatches);
        Ok(())
    }
}
