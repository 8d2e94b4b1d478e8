//! The reference on conformance cases of the three hard ops: `cargo bench`. Speed of accelerated kernels is measured by
//! `dropless bench`, which rotates operands beyond the cache and compares with a roof.

use criterion::Criterion;
use dropless::op::cases::Cases;
use dropless::op::{FlashAttnSpec, GroupedGemmSpec, moe::DispatchSpec};
use dropless::testing::conform::Conform;
use dropless::testing::harness::{self, Options};
use dropless::testing::random::Random;
use dropless::{Cpu, Provide};

/// Cases of an op that are timed: enough to see a loop become slower.
const CASES: usize = 4;

fn bench_op<O: Cases + Conform>(criterion: &mut Criterion)
where
    Cpu: Provide<O>,
{
    let mut group = criterion.benchmark_group(O::NAME);
    for case in O::cases().into_iter().take(CASES) {
        let inputs = case.op.fill(case.data, &mut Random::named(&case.name)).expect("a case has operands");
        group.bench_function(&case.name, |bencher| {
            bencher
                .iter(|| harness::run(&Cpu::new(), &case.op, &inputs, Options::default()).expect("the reference runs"));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_op::<GroupedGemmSpec>(&mut criterion);
    bench_op::<DispatchSpec>(&mut criterion);
    bench_op::<FlashAttnSpec>(&mut criterion);
    criterion.final_summary();
}
