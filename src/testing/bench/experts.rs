//! The experts' MXFP4 weights: as many copies as fill the cache three times with what a small call touches.

use super::Runner;
use super::catalog::Preset;
use super::operand::Slot;
use super::pattern::Pattern;
use crate::backend::{Runtime, Timing};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::mxfp4::{BLOCK, Tiled};
use crate::op::WeightFormat;
use std::sync::Arc;

/// Most bytes of one matrix's copies.
const MAX_BYTES: usize = 8 << 30;

/// Layout of the codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The checkpoint's own.
    OpenAi,
    /// Prepacked.
    Tiled,
}

impl Format {
    pub(super) fn of_spec(self) -> WeightFormat {
        match self {
            Format::OpenAi => WeightFormat::Mxfp4,
            Format::Tiled => WeightFormat::Mxfp4Tiled,
        }
    }
}

/// Operands by name.
pub(super) type Named<B> = Vec<(&'static str, Arc<Slot<B>>)>;

/// Weights of both GEMMs, made when first needed.
pub(super) struct Experts<B: Runtime> {
    preset: Preset,
    format: Format,
    up: Option<Named<B>>,
    down: Option<Named<B>>,
}

impl<B: Runtime> Experts<B> {
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// `w`, `w_scales` and `bias` of the first GEMM.
    pub(super) fn up(&self) -> Result<Named<B>, Error> {
        self.up.clone().ok_or_else(not_made)
    }

    /// Of the second GEMM.
    pub(super) fn down(&self) -> Result<Named<B>, Error> {
        self.down.clone().ok_or_else(not_made)
    }

    /// As [`Experts::up`], copy 0 for the reference.
    pub(super) fn up_on_host(&self, cpu: &Cpu) -> Result<Named<Cpu>, Error> {
        on_host(&self.up()?, cpu)
    }

    /// As [`Experts::down`], copy 0 for the reference.
    pub(super) fn down_on_host(&self, cpu: &Cpu) -> Result<Named<Cpu>, Error> {
        on_host(&self.down()?, cpu)
    }
}

fn not_made() -> Error {
    Error::input("expert weights", "were not made")
}

fn on_host<B: Runtime>(named: &Named<B>, cpu: &Cpu) -> Result<Named<Cpu>, Error> {
    named.iter().map(|(name, slot)| Ok((*name, Slot::import(cpu, slot.host()?)?))).collect()
}

impl<B: Timing> Runner<'_, B> {
    /// The weights of a preset; the last ones asked for are kept, any others are freed first.
    pub(super) fn experts(
        &mut self,
        preset: Preset,
        format: Format,
        up: bool,
        down: bool,
    ) -> Result<Arc<Experts<B>>, Error> {
        let kept = self.kept.take().filter(|e| e.preset == preset && e.format == format);
        let (kept_up, kept_down) = kept.as_deref().map_or((None, None), |e| (e.up.clone(), e.down.clone()));
        drop(kept);
        let (h, i) = (preset.hidden, preset.intermediate);
        let up = if up && kept_up.is_none() { Some(self.matrix(&preset, format, 2 * i, h)?) } else { kept_up };
        let down = if down && kept_down.is_none() { Some(self.matrix(&preset, format, h, i)?) } else { kept_down };
        let experts = Arc::new(Experts { preset, format, up, down });
        self.kept = Some(experts.clone());
        Ok(experts)
    }

    fn matrix(&mut self, p: &Preset, format: Format, n: usize, k: usize) -> Result<Named<B>, Error> {
        let (experts, random) = (p.experts, &mut self.random);
        let bias = Pattern::normals(DType::Bf16, 0.5, random)?;
        // One token touches k experts of a matrix; larger calls find enough copies too.
        let all = experts * n * k / 2;
        let copies = self.sets(all / experts * p.top_k).min((MAX_BYTES / all.max(1)).max(1));
        let blocks = k / BLOCK;
        let (backend, random) = (self.backend, &mut self.random);
        let mut named = vec![("bias", Slot::filled(backend, DType::Bf16, &[experts, n], 1, &bias)?)];
        match format {
            Format::OpenAi => {
                let (codes, scales) = (Pattern::codes(random), Pattern::scales(random));
                let shape = [experts, n, blocks, 16];
                named.push(("w", Slot::filled(backend, DType::E2m1x2, &shape, copies, &codes)?));
                named.push(("w_scales", Slot::filled(backend, DType::E8m0, &shape[..3], copies, &scales)?));
            }
            Format::Tiled => {
                let shape = [experts, Tiled::bytes(n, k)];
                named.push(("w", Slot::filled(backend, DType::U8, &shape, copies, &Pattern::tiles(random))?));
            }
        }
        Ok(named)
    }
}
