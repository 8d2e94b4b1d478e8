//! Random specs on the CUDA device that is here, by the chosen variant and by one of the others. Without a device these tests say so
//! and pass, unless DROPLESS_REQUIRE names cuda.

use super::strategies::*;
use dropless::op::cases::Data;
use dropless::op::moe::{DispatchSpec, SortSpec};
use dropless::op::*;
use dropless::testing::conform::{Conform, Expected};
use dropless::testing::present;
use dropless::testing::random::Random;
use dropless::{Cpu, Cuda, Error, Provide};
use proptest::prelude::*;
use std::sync::OnceLock;

/// Several tiles of everything.
const LARGE: Most = Most {
    experts: 40,
    rows: 500,
    columns: 200,
    blocks: 14,
    sequences: 4,
    queries: 80,
    keys: 300,
    group: 10,
    tokens: 3000,
    routed: 513,
};

/// The same, of fewer tokens: most cases, because the reference takes longest where there are many.
const SHORT: Most = Most { tokens: 200, ..LARGE };

fn device() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    CUDA.get_or_init(|| present(Cuda::new(0)).unwrap()).as_ref()
}

fn conforms<O: Conform>(op: O, data: Data, seed: u64) -> Result<(), TestCaseError>
where
    Cpu: Provide<O>,
    Cuda: Provide<O>,
{
    let Some(cuda) = device() else { return Ok(()) };
    let inputs = op.fill(data, &mut Random::new(seed)).unwrap();
    let variants: Vec<&str> =
        dropless::cuda::variants().into_iter().filter(|(name, _)| *name == O::NAME).map(|(_, v)| v).collect();
    let expected = Expected::new(&op, &inputs).unwrap();
    for variant in [None, Some(variants[seed as usize % variants.len()])] {
        let wrong = match expected.judge_on(cuda, variant) {
            Err(Error::Unsupported { .. }) if variant.is_some() => continue,
            judged => judged.map_or_else(|e| vec![e.to_string()], |j| j.wrong),
        };
        prop_assert!(wrong.is_empty(), "{:?} by {:?}, seed {}: {:?}", op, variant, seed, wrong);
    }
    Ok(())
}

/// Faulty operands are wrong at places that these specs have.
fn has_room(op: &GroupedGemmSpec) -> bool {
    let slots = op.combine.map_or(8, |c| c.tokens * c.top_k);
    op.experts > 2 && op.rows > 6 && slots > 7
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grouped_gemm_conforms(op in prop_oneof![grouped_gemm(&LARGE), grouped_gemm(&SMALL)], seed: u64) {
        conforms(op, Data::Usual, seed)?;
    }

    #[test]
    fn grouped_gemm_is_harmless_where_operands_are_faulty(op in grouped_gemm(&LARGE).prop_filter("room", has_room), seed: u64) {
        conforms(op, Data::Faulty, seed)?;
    }

    #[test]
    fn flash_attn_conforms(op in prop_oneof![flash_attn(&LARGE), flash_attn(&SMALL)], seed: u64) {
        conforms(op, Data::Usual, seed)?;
    }

    #[test]
    fn flash_attn_is_harmless_where_operands_are_faulty(
        op in flash_attn(&SMALL).prop_filter("room", |op| op.sequences > 4 && op.max_k_len > 0),
        seed: u64,
    ) {
        conforms(op, Data::Faulty, seed)?;
    }

    #[test]
    fn dispatch_conforms(route in prop_oneof![1 => route(&LARGE), 4 => route(&SHORT)], seed: u64) {
        conforms(DispatchSpec { route }, Data::Usual, seed)?;
        conforms(SortSpec { tokens: route.tokens, experts: route.experts, top_k: route.top_k }, Data::Faulty, seed)?;
    }
}
