//! Near-uniform random routing, as the reference sorts it.

use super::catalog::Preset;
use super::operand::{Call, Slot};
use super::pattern::normal;
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::moe::{DispatchSpec, RouteSpec, Score};
use crate::testing::random::Random;

pub(super) fn spec(p: &Preset, tokens: usize) -> DispatchSpec {
    let (experts, top_k, score) = (p.experts, p.top_k, Score::SoftmaxAfterTopK);
    DispatchSpec { route: RouteSpec { tokens, experts, top_k, logits: DType::F32, weight: DType::F32, score } }
}

/// Router logits f32 \[T, E\]: independent, so that every expert is chosen equally often.
pub(super) fn logits(p: &Preset, tokens: usize, random: &mut Random) -> Result<HostTensor, Error> {
    let values: Vec<f64> = (0..tokens * p.experts).map(|_| normal(random)).collect();
    HostTensor::from_f64(DType::F32, &[tokens, p.experts], &values)
}

/// Experts that T tokens choose, on average.
pub(super) fn expected_touched(p: &Preset, tokens: usize) -> f64 {
    let missed = 1.0 - p.top_k as f64 / p.experts as f64;
    p.experts as f64 * (1.0 - missed.powf(tokens as f64))
}

/// What dispatch makes of logits.
pub(super) struct Routing {
    pub(super) ids: HostTensor,
    pub(super) weight: HostTensor,
    pub(super) counts: HostTensor,
    pub(super) offsets: HostTensor,
    pub(super) sorted: HostTensor,
    pub(super) inverse: HostTensor,
}

impl Routing {
    pub(super) fn of(p: &Preset, logits: &HostTensor) -> Result<Self, Error> {
        let cpu = Cpu::new();
        let tokens = logits.shape.first().copied().unwrap_or(0);
        let rows = tokens * p.top_k;
        let ints = |shape: &[usize]| Slot::empty(&cpu, DType::I32, shape, 1);
        let call = Call::new(
            &cpu,
            spec(p, tokens),
            Default::default(),
            vec![
                ("logits", Slot::import(&cpu, logits)?),
                ("topk_idx", ints(&[tokens, p.top_k])?),
                ("topk_weight", Slot::empty(&cpu, DType::F32, &[tokens, p.top_k], 1)?),
                ("expert_count", ints(&[p.experts])?),
                ("expert_offset", ints(&[p.experts + 1])?),
                ("sorted_assignment", ints(&[rows])?),
                ("assignment_to_row", ints(&[rows])?),
            ],
        )?;
        call.run(&cpu)?;
        let read = |name: &str| call.slot(name)?.read(&cpu);
        Ok(Routing {
            ids: read("topk_idx")?,
            weight: read("topk_weight")?,
            counts: read("expert_count")?,
            offsets: read("expert_offset")?,
            sorted: read("sorted_assignment")?,
            inverse: read("assignment_to_row")?,
        })
    }

    /// Experts with at least one row.
    pub(super) fn touched(&self) -> f64 {
        self.counts.to_f64().iter().filter(|n| **n > 0.0).count() as f64
    }

    /// Expert of each row.
    pub(super) fn expert_of_row(&self) -> Vec<usize> {
        let counts = self.counts.to_i32().unwrap_or_default();
        counts.iter().enumerate().flat_map(|(e, n)| std::iter::repeat_n(e, (*n).max(0) as usize)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bench::catalog::PRESETS;

    #[test]
    fn routing_is_near_uniform_and_touches_what_is_expected() {
        let p = PRESETS[0];
        let logits = logits(&p, 64, &mut Random::new(3)).unwrap();
        let routing = Routing::of(&p, &logits).unwrap();
        assert_eq!(routing.expert_of_row().len(), 64 * p.top_k);
        assert!((routing.touched() - expected_touched(&p, 64)).abs() < 1.5, "{}", routing.touched());
        assert_eq!(expected_touched(&p, 1), 4.0);
        let most = routing.counts.to_f64().into_iter().fold(0.0, f64::max);
        assert!(most < 30.0, "{most} of 256 rows went to one expert");
    }
}
