//! How tokens choose experts, as the reference sorts them: near-uniformly at random, or as unevenly as they may.

use super::catalog::Preset;
use super::operand::{Call, Slot};
use super::pattern::normal;
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::moe::{DispatchSpec, RouteSpec, Score};
use crate::testing::random::Random;

/// How evenly tokens choose experts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum Skew {
    /// Each expert equally often.
    #[default]
    Uniform,
    /// One expert is among those of every other token.
    Half,
    /// All tokens choose the same experts.
    Same,
}

impl Skew {
    /// What cases of such rows have behind their name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Skew::Uniform => "",
            Skew::Half => " half",
            Skew::Same => " same",
        }
    }
}

pub(super) fn spec(p: &Preset, tokens: usize) -> DispatchSpec {
    let (experts, top_k, score) = (p.experts, p.top_k, Score::SoftmaxAfterTopK);
    DispatchSpec { route: RouteSpec { tokens, experts, top_k, logits: DType::F32, weight: DType::F32, score } }
}

/// More than any independent logit.
const CERTAIN: f64 = 16.0;

/// Router logits f32 \[T, E\]: independent, but for the experts that `skew` prefers; which those are is random.
fn logits(p: &Preset, tokens: usize, skew: Skew, random: &mut Random) -> Result<HostTensor, Error> {
    let mut values: Vec<f64> = (0..tokens * p.experts).map(|_| normal(random)).collect();
    let (every, preferred) = match skew {
        Skew::Uniform => (1, 0),
        Skew::Half => (2, 1),
        Skew::Same => (1, p.top_k),
    };
    let first = random.below(p.experts);
    for token in values.chunks_exact_mut(p.experts).step_by(every) {
        (first..first + preferred).for_each(|e| token[e % p.experts] += CERTAIN);
    }
    HostTensor::from_f64(DType::F32, &[tokens, p.experts], &values)
}

/// Experts that T tokens choose, on average.
pub(super) fn expected_touched(p: &Preset, tokens: usize, skew: Skew) -> f64 {
    if skew == Skew::Same {
        return p.top_k as f64;
    }
    let (k, e) = (p.top_k as f64, p.experts as f64);
    let (preferring, preferred) = if skew == Skew::Half { (tokens.div_ceil(2), 1.0) } else { (0, 0.0) };
    // Of the others, a token misses one of them with this probability.
    let (missed, others) = (1.0 - k / e, 1.0 - (k - preferred) / (e - preferred));
    let missed = missed.powf((tokens - preferring) as f64) * others.powf(preferring as f64);
    preferred + (e - preferred) * (1.0 - missed)
}

/// Draws of a routing until one touches as many experts as is expected, to the next whole one; most that are tried.
const DRAWS: usize = 64;

/// Router logits and what dispatch makes of them, once for each of `sets`. They depend on the case and the tokens alone, so
/// that runs compare.
pub(super) fn sets(
    p: &Preset,
    tokens: usize,
    skew: Skew,
    sets: usize,
) -> Result<(Vec<HostTensor>, Vec<Routing>), Error> {
    let mut random = Random::named(&format!("dropless bench {} {tokens}{}", p.short, skew.suffix()));
    let expected = expected_touched(p, tokens, skew);
    let mut draw = || {
        let mut tries = 0;
        loop {
            let logits = logits(p, tokens, skew, &mut random)?;
            let routing = Routing::of(p, &logits)?;
            tries += 1;
            if (routing.touched() - expected).abs() < 1.0 || tries == DRAWS {
                return Ok::<_, Error>((logits, routing));
            }
        }
    };
    let drawn: Vec<_> = (0..sets).map(|_| draw()).collect::<Result<_, _>>()?;
    Ok(drawn.into_iter().unzip())
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
        let logits = logits(&p, 64, Skew::Uniform, &mut Random::new(3)).unwrap();
        let routing = Routing::of(&p, &logits).unwrap();
        assert_eq!(routing.expert_of_row().len(), 64 * p.top_k);
        assert!((routing.touched() - expected_touched(&p, 64, Skew::Uniform)).abs() < 1.5, "{}", routing.touched());
        assert_eq!(expected_touched(&p, 1, Skew::Uniform), 4.0);
        let most = routing.counts.to_f64().into_iter().fold(0.0, f64::max);
        assert!(most < 30.0, "{most} of 256 rows went to one expert");
    }

    #[test]
    fn skewed_routing_prefers_one_expert_or_the_same_ones() {
        let p = PRESETS[0];
        let counts = |skew| {
            let routing = Routing::of(&p, &logits(&p, 64, skew, &mut Random::new(3)).unwrap()).unwrap();
            let mut counts = routing.counts.to_i32().unwrap();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            counts
        };
        let half = counts(Skew::Half);
        assert!((32..40).contains(&half[0]) && half[1] < 24, "{half:?}");
        assert_eq!(counts(Skew::Same)[..5], [64, 64, 64, 64, 0]);
        assert_eq!(expected_touched(&p, 64, Skew::Same), 4.0);
        assert!(expected_touched(&p, 4, Skew::Half) < expected_touched(&p, 4, Skew::Uniform));
    }

    #[test]
    fn routing_depends_on_case_and_tokens_alone_and_is_what_is_expected() {
        let p = PRESETS[0];
        for skew in [Skew::Uniform, Skew::Half, Skew::Same] {
            let (few, more) = (sets(&p, 16, skew, 1).unwrap(), sets(&p, 16, skew, 9).unwrap());
            assert_eq!(few.0[0].to_f64(), more.0[0].to_f64());
            let expected = expected_touched(&p, 16, skew);
            assert!(more.1.iter().all(|r| (r.touched() - expected).abs() < 1.0), "{skew:?}, {expected}");
        }
    }
}
