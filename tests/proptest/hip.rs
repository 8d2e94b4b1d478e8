//! Random specs on HIP, as far as an interpreter runs them in little time, by the chosen variant and by one of the others. Without a
//! device or the stand-in (`tools/with-hip.sh`) these tests say so and pass, unless DROPLESS_REQUIRE names hip.

use super::strategies::*;
use dropless::hip::{Hip, variants};
use dropless::op::cases::Data;
use dropless::op::moe::DispatchSpec;
use dropless::testing::conform::{Conform, judge_on};
use dropless::testing::present;
use dropless::testing::random::Random;
use dropless::{Cpu, Error, Provide};
use proptest::prelude::*;
use std::sync::OnceLock;

fn device() -> Option<&'static Hip> {
    static HIP: OnceLock<Option<Hip>> = OnceLock::new();
    HIP.get_or_init(|| present(Hip::new(0)).unwrap()).as_ref()
}

fn conforms<O: Conform>(op: O, seed: u64) -> Result<(), TestCaseError>
where
    Cpu: Provide<O>,
    Hip: Provide<O>,
{
    let Some(hip) = device() else { return Ok(()) };
    let inputs = op.fill(Data::Usual, &mut Random::new(seed)).unwrap();
    let of_op: Vec<&str> = variants().into_iter().filter(|(name, _)| *name == O::NAME).map(|(_, v)| v).collect();
    for variant in [None, Some(of_op[seed as usize % of_op.len()])] {
        let wrong = match judge_on(hip, &op, &inputs, variant) {
            Err(Error::Unsupported { .. }) if variant.is_some() => continue,
            // Caches of f8e4m3 and scales are taken where kernels were made for them.
            Err(Error::Unsupported { op: "flash_attn" | "kv_append", .. }) => continue,
            judged => judged.map_or_else(|e| vec![e.to_string()], |j| j.wrong),
        };
        prop_assert!(wrong.is_empty(), "{:?} by {:?}, seed {}: {:?}", op, variant, seed, wrong);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grouped_gemm_conforms(op in grouped_gemm(&SMALL), seed: u64) {
        conforms(op, seed)?;
    }

    #[test]
    fn flash_attn_conforms(op in flash_attn(&SMALL), seed: u64) {
        conforms(op, seed)?;
    }

    #[test]
    fn dispatch_conforms(route in route(&SMALL), seed: u64) {
        conforms(DispatchSpec { route }, seed)?;
    }
}
