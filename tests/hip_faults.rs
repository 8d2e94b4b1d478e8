//! Faults seeded one after the other into compiled kernels on matrix units, of the grouped GEMM and of attention: the stand-in that
//! interprets them must report each, or the result must be judged wrong. Needs the stand-in (`tools/with-hip.sh cargo test --test
//! hip_faults`): without it this test says so and passes, unless DROPLESS_REQUIRE names hip.
#![cfg(all(feature = "hip", feature = "testing"))]

use dropless::backend::Provide;
use dropless::devices::required;
use dropless::hip::Hip;
use dropless::op::cases::Data;
use dropless::op::{FlashAttnSpec, GroupedGemmSpec, KvIndex, KvStore, Lse, Mask};
use dropless::testing::conform::{Conform, Inputs, judge_on};
use dropless::testing::random::Random;
use dropless::{Cpu, DType, Hint, Kernel, Scalar};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint};

type Seed = unsafe extern "C" fn(*const c_char, *const c_char, c_uint) -> c_int;

/// The stand-in's hook.
struct Hook {
    seed: Seed,
    _library: Library,
}

impl Hook {
    /// `None`, said, where the library is another or absent.
    fn new() -> Option<Hook> {
        // SAFETY: the interpreter's or AMD's runtime, which dropless loads too.
        let library = unsafe { Library::new("libamdhip64.so.7") }.ok();
        // SAFETY: the stand-in declares it so, and nobody else has it.
        let found =
            library.and_then(|l| unsafe { l.get::<Seed>("droplessSeedFault") }.map(|s| *s).ok().map(|s| (s, l)));
        assert!(found.is_some() || !required("hip"), "hip is required, but its library is not the stand-in");
        if found.is_none() {
            println!("skipped: hip: the stand-in is not here");
        }
        found.map(|(seed, library)| Hook { seed, _library: library })
    }
}

/// A call of a kernel.
struct Subject<O: Conform> {
    kernel: &'static CStr,
    variant: &'static str,
    op: O,
    inputs: Inputs,
}

impl<O: Conform> Subject<O>
where
    Hip: Provide<O>,
    Cpu: Provide<O>,
{
    /// What is noticed with the `nth` such instruction changed; an empty text where the result is right. `None`: there is none.
    fn with(&self, hook: &Hook, instruction: &CStr, nth: usize) -> Option<String> {
        // SAFETY: both names end with a NUL.
        unsafe { (hook.seed)(self.kernel.as_ptr(), instruction.as_ptr(), nth as c_uint) };
        // A device of its own loads its modules anew.
        let hip = Hip::new(0).unwrap();
        let hint = Hint { variant: Some(self.variant), ..Default::default() };
        match Kernel::plan(&hip, self.op, hint) {
            Err(e) if e.to_string().contains("has no") => return None,
            plan => drop(plan.unwrap()),
        }
        Some(self.judge(&hip))
    }

    fn judge(&self, hip: &Hip) -> String {
        let judged = judge_on(hip, &self.op, &self.inputs, Some(self.variant));
        judged.map_or_else(|e| e.to_string(), |j| j.wrong.join("; "))
    }

    /// What is noticed of every `step`-th such instruction changed, and how many were.
    fn noticed(&self, hook: &Hook, instruction: &CStr, step: usize) -> (usize, Vec<String>) {
        let all: Vec<String> = (0..).step_by(step).map_while(|nth| self.with(hook, instruction, nth)).collect();
        let changed = all.len();
        let found: Vec<String> = all.into_iter().filter(|words| !words.is_empty()).collect();
        let like = found.first().map_or("", |w| w);
        println!("{:?}: {instruction:?}: {changed} changed, {} noticed, like: {like}", self.kernel, found.len());
        (changed, found)
    }

    /// `waits`: of how many of them one is tried. `ways`: how often the kernel has its main loop, of which a call takes one.
    fn every_fault_is_found(&self, hook: &Hook, waits: usize, ways: usize) {
        // SAFETY: null names take a seed back.
        unsafe { (hook.seed)(std::ptr::null(), std::ptr::null(), 0) };
        assert_eq!(self.judge(&Hip::new(0).unwrap()), "", "without a fault");

        // What stands on ways that this call does not take, or in front of another that does the same, is right without it.
        let (_, barriers) = self.noticed(hook, c"s_barrier", 1);
        assert!(barriers.len() >= 2, "{barriers:?}");
        assert!(barriers.iter().all(|b| b.contains("LDS") || b.contains("barrier")), "{barriers:?}");
        let (_, waits) = self.noticed(hook, c"s_waitcnt", waits);
        assert!(waits.len() >= 3, "{waits:?}");
        let (matrix, swapped) = self.noticed(hook, c"v_mfma", 5);
        assert!(matrix > 0 && swapped.len() >= matrix / ways, "{matrix} layouts swapped, {} noticed", swapped.len());
    }
}

#[test]
fn seeded_faults_are_found() {
    let Some(hook) = Hook::new() else { return };
    // Three steps of the main loop, and one more that is not whole.
    let op = GroupedGemmSpec::linear(70, 130, 120, DType::Bf16, DType::Bf16, None, DType::F32);
    let inputs = op.fill(Data::Usual, &mut Random::new(1)).unwrap();
    Subject { kernel: c"mfma_bf16_dense", variant: "mfma", op, inputs }.every_fault_is_found(&hook, 7, 1);

    // Its main loop is there for aligned keys and values, and for others.
    let op = FlashAttnSpec {
        sequences: 1,
        q_tokens: 70,
        max_q_len: 70,
        max_k_len: 200,
        q_heads: 2,
        kv_heads: 1,
        head_dim: 64,
        q: DType::Bf16,
        kv: DType::Bf16,
        kv_scales: false,
        out: DType::F32,
        sm_scale: Scalar(0.125),
        mask: Mask::Causal,
        sinks: Some(DType::Bf16),
        lse: Lse::WithSink,
        store: KvStore::Packed { tokens: 200 },
        index: KvIndex::CuSeqlens,
        splits: None,
    };
    let inputs = op.fill(Data::Usual, &mut Random::new(1)).unwrap();
    Subject { kernel: c"mfma_prefill_bf16_64", variant: "mfma_prefill", op, inputs }.every_fault_is_found(&hook, 21, 2);
}
