//! Every op recorded once and replayed on other operands: what only the device knows (lengths, offsets, ids, positions, pages)
//! is read when a call runs, not when it is recorded. On CUDA the recording is a graph.

mod common;

use common::assert_all_passed;
use dropless::Cpu;
use dropless::op::RmsNormSpec;
use dropless::op::cases::{Cases, Data};
use dropless::testing::Filter;
use dropless::testing::conform::{Conform, Same, same};
use dropless::testing::harness::{self, Options};
use dropless::testing::random::Random;

/// Equal results would prove nothing if the operands were equal too.
#[test]
fn replays_read_what_lies_in_memory_then() {
    let op = RmsNormSpec::cases()[0].op;
    let load = |seed| op.fill(Data::Usual, &mut Random::new(seed)).unwrap();
    let outputs = harness::replay(&Cpu::new(), &op, &[load(1), load(2), load(1)], Options::default()).unwrap();
    assert_eq!(outputs[0].differs(&outputs[1]), Some("y"));
    assert_eq!(outputs[0].differs(&outputs[2]), None);
}

#[test]
fn recorded_on_the_cpu() {
    assert_all_passed(&same(&Cpu::new(), Same::Replayed, &Filter::default(), |_| {}));
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::*;
    use dropless::testing::{Status, present};
    use dropless::{Cuda, Error};

    fn device() -> Option<Cuda> {
        present(Cuda::new(0)).unwrap()
    }

    #[test]
    fn captured_in_a_graph() {
        let Some(cuda) = device() else { return };
        assert_all_passed(&same(&cuda, Same::Replayed, &Filter::default(), |_| {}));
    }

    /// The variants that the chooser takes for larger calls alone too.
    #[test]
    fn every_variant_captured_when_forced() {
        let Some(cuda) = device() else { return };
        for (op, variant) in dropless::cuda::variants() {
            let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
            let report = same(&cuda, Same::Replayed, &filter, |_| {});
            let failed: Vec<String> =
                report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
            assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
            println!("{op} {variant}: {report}");
        }
    }

    /// What is refused while it is recorded leaves the device usable.
    #[test]
    fn an_error_while_capturing_is_the_result() {
        let Some(cuda) = device() else { return };
        let refused = cuda.capture(|_| Err(Error::input("a call", "refused")));
        assert!(refused.err().is_some_and(|e| e.to_string().contains("refused")));
        let filter = Filter { ops: vec!["rms_norm".into()], ..Filter::default() };
        assert_all_passed(&same(&cuda, Same::Replayed, &filter, |_| {}));
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn recorded_on_wgpu() {
    let Some(wgpu) = dropless::testing::present(dropless::Wgpu::new(0)).unwrap() else { return };
    assert_all_passed(&same(&wgpu, Same::Replayed, &Filter::default(), |_| {}));
}
