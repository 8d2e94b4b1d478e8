//! Faults seeded one after the other into the compiled grouped GEMM on matrix units: the stand-in that interprets it must report each, or its
//! result must be judged wrong. Needs the stand-in (`tools/with-hip.sh cargo test --test hip_faults`): without it this test says so and
//! passes, unless DROPLESS_REQUIRE names hip.
#![cfg(all(feature = "hip", feature = "testing"))]

use dropless::devices::required;
use dropless::hip::Hip;
use dropless::op::GroupedGemmSpec;
use dropless::op::cases::Data;
use dropless::testing::conform::{Conform, Inputs, judge_on};
use dropless::testing::random::Random;
use dropless::{DType, Kernel};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_uint};

const KERNEL: &CStr = c"mfma_bf16_dense";
const VARIANT: &str = "mfma";

type Seed = unsafe extern "C" fn(*const c_char, *const c_char, c_uint) -> c_int;

/// A call of the kernel, and the stand-in's hook.
struct Subject {
    op: GroupedGemmSpec,
    inputs: Inputs,
    seed: Seed,
    _library: Library,
}

impl Subject {
    fn new() -> Option<Subject> {
        // SAFETY: the interpreter's or AMD's runtime, which dropless loads too.
        let library = unsafe { Library::new("libamdhip64.so.7") }.ok()?;
        // SAFETY: the stand-in declares it so, and nobody else has it.
        let seed = *unsafe { library.get::<Seed>("droplessSeedFault") }.ok()?;
        // Three steps of the main loop, and one more that is not whole.
        let op = GroupedGemmSpec::linear(70, 130, 120, DType::Bf16, DType::Bf16, None, DType::F32);
        let inputs = op.fill(Data::Usual, &mut Random::new(1)).unwrap();
        Some(Subject { op, inputs, seed, _library: library })
    }

    /// What is noticed with the `nth` such instruction changed; an empty text where the result is right. `None`: there is none.
    fn with(&self, instruction: &str, nth: usize) -> Option<String> {
        let name = CString::new(instruction).unwrap();
        // SAFETY: both names end with a NUL.
        unsafe { (self.seed)(KERNEL.as_ptr(), name.as_ptr(), nth as c_uint) };
        // A device of its own loads its modules anew.
        let hip = Hip::new(0).unwrap();
        let hint = dropless::Hint { variant: Some(VARIANT), ..Default::default() };
        match Kernel::plan(&hip, self.op, hint) {
            Err(e) if e.to_string().contains("has no") => return None,
            plan => drop(plan.unwrap()),
        }
        let judged = judge_on(&hip, &self.op, &self.inputs, Some(VARIANT));
        Some(judged.map_or_else(|e| e.to_string(), |j| j.wrong.join("; ")))
    }
}

#[test]
fn seeded_faults_are_found() {
    let Some(subject) = Subject::new() else {
        assert!(!required("hip"), "hip is required, but its library is not the stand-in");
        println!("skipped: hip: the stand-in is not here");
        return;
    };
    // Nothing is changed before the kernel's first launch is found right.
    // SAFETY: null names take a seed back.
    unsafe { (subject.seed)(std::ptr::null(), std::ptr::null(), 0) };
    let judged = judge_on(&Hip::new(0).unwrap(), &subject.op, &subject.inputs, Some(VARIANT)).unwrap();
    assert!(judged.wrong.is_empty(), "{:?}", judged.wrong);

    // What stands on ways that this call does not take, or in front of another that does the same, is right without it.
    let noticed = |instruction: &str, step: usize| {
        let all: Vec<String> = (0..).step_by(step).map_while(|nth| subject.with(instruction, nth)).collect();
        let found: Vec<&String> = all.iter().filter(|words| !words.is_empty()).collect();
        println!(
            "{instruction}: {} changed, {} noticed, like: {}",
            all.len(),
            found.len(),
            found.first().map_or("", |w| w)
        );
        (all.len(), found.into_iter().cloned().collect::<Vec<_>>())
    };
    // In front of the tile's number, and twice a step.
    let (_, barriers) = noticed("s_barrier", 1);
    assert!(barriers.len() >= 2 && barriers.iter().all(|b| b.contains("LDS") || b.contains("barrier")), "{barriers:?}");
    let (_, waits) = noticed("s_waitcnt", 7);
    assert!(waits.len() >= 3, "{waits:?}");
    let (matrix, swapped) = noticed("v_mfma", 5);
    assert!(matrix > 0 && swapped.len() == matrix, "{matrix} layouts swapped, {} noticed", swapped.len());
}
