//! The harness is itself tested: a backend that misbehaves in one way at a time must be refused for it.

use dropless::backend::{DeviceInfo, HostBytes};
use dropless::cpu::memory::{CpuBuffer, CpuMem};
use dropless::op::cases::{Case, Cases};
use dropless::op::{RmsNormArgs, RmsNormSpec};
use dropless::testing::conform::judge;
use dropless::{Backend, Cpu, Error, Hint, Kernel, Provide, Runtime, Scratch, View, ViewMut};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    WritesBehind,
    WritesBefore,
    WritesInput,
    WritesScratchGuard,
    LeavesLastRow,
    GivesNan,
    FarOff,
    DiffersBetweenRuns,
    IgnoresStride,
    FarOffUnaligned,
    RefusesUnaligned,
}

/// The reference, spoilt. Its norm is right but for the fault.
struct Spoilt {
    cpu: Cpu,
    fault: Fault,
    calls: AtomicUsize,
}

impl Backend for Spoilt {
    const NAME: &'static str = "spoilt";
    type Mem = CpuMem;
    type Queue<'q> = ();

    fn device(&self) -> &DeviceInfo {
        self.cpu.device()
    }

    fn offset(mem: &CpuMem, bytes: usize) -> CpuMem {
        Cpu::offset(mem, bytes)
    }
}

impl Runtime for Spoilt {
    type Buffer = CpuBuffer;

    fn alloc(&self, bytes: usize) -> Result<CpuBuffer, Error> {
        self.cpu.alloc(bytes)
    }

    fn import(&self, bytes: &HostBytes) -> Result<CpuBuffer, Error> {
        self.cpu.import(bytes)
    }

    fn mem(&self, buffer: &CpuBuffer) -> CpuMem {
        self.cpu.mem(buffer)
    }

    fn write(&self, buffer: &mut CpuBuffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.cpu.write(buffer, offset, bytes)
    }

    fn read(&self, buffer: &CpuBuffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.cpu.read(buffer, offset, into)
    }

    fn submit<R>(&self, record: impl FnOnce(&mut ()) -> Result<R, Error>) -> Result<R, Error> {
        record(&mut ())
    }
}

/// Bytes of scratch it asks for.
const SCRATCH: usize = 64;

impl Provide<RmsNormSpec> for Spoilt {
    type Plan = Kernel<RmsNormSpec, Cpu>;

    fn plan(&self, op: &RmsNormSpec, hint: Hint<'_>) -> Result<Self::Plan, Error> {
        Kernel::plan(&self.cpu, *op, hint)
    }

    fn variant(_: &Self::Plan) -> &str {
        "spoilt"
    }

    fn scratch(_: &Self::Plan) -> Scratch {
        Scratch { bytes: SCRATCH, align: 16 }
    }

    fn enqueue(
        &self,
        plan: &Self::Plan,
        args: RmsNormArgs<'_, Self>,
        scratch: ViewMut<'_, Self>,
        queue: &mut (),
    ) -> Result<(), Error> {
        let (x, y, info) = (*args.x.mem(), *args.y.mem(), args.y.info());
        let [rows, dim] = *info.shape.dims() else { return Err(Error::input("y", "is no matrix")) };
        let stride = if self.fault == Fault::IgnoresStride { dim } else { info.row_stride };
        let unaligned = !(4 * stride).is_multiple_of(16);
        if self.fault == Fault::RefusesUnaligned && unaligned {
            let reason = "wants rows at multiples of 16 bytes".into();
            return Err(Error::Unsupported { backend: Self::NAME, op: "rms_norm", reason });
        }
        // SAFETY: the harness' views hold what their shapes say (and guards of 256 bytes); the faults below stay inside those.
        unsafe {
            let view = |v: &View<'_, Self>| {
                let info = v.info();
                View::<Cpu>::from_raw(*v.mem(), info.dtype, info.shape.dims()).with_row_stride(info.row_stride)
            };
            let out = ViewMut::<Cpu>::from_raw(y, info.dtype, &[rows, dim]).with_row_stride(stride);
            let cpu_args =
                RmsNormArgs { x: view(&args.x), residual: None, weight: view(&args.weight), sum: None, y: out };
            let mut none = [0u8; 0];
            let nothing =
                Cpu::view_mut(&mut none, dropless::DType::U8, &[0]).ok_or_else(|| Error::input("scratch", "?"))?;
            plan.enqueue(&self.cpu, cpu_args, nothing, queue)?;
            let at = |row: usize, column: usize| y.as_ptr().cast::<f32>().wrapping_add(row * stride + column);
            match self.fault {
                Fault::FarOffUnaligned if !unaligned => {}
                Fault::None | Fault::IgnoresStride | Fault::RefusesUnaligned => {}
                Fault::WritesBehind => at(rows - 1, stride).write_unaligned(1.0),
                Fault::WritesBefore => at(0, 0).wrapping_sub(1).write_unaligned(1.0),
                Fault::WritesInput => x.as_ptr().cast::<f32>().write_unaligned(1.25),
                Fault::WritesScratchGuard => scratch.mem().as_ptr().wrapping_add(SCRATCH).write(0),
                Fault::LeavesLastRow => {
                    (0..dim).for_each(|i| at(rows - 1, i).write_unaligned(f32::from_bits(0xfffd_fffd)))
                }
                Fault::GivesNan => at(0, 3).write_unaligned(f32::NAN),
                Fault::FarOff | Fault::FarOffUnaligned => {
                    // 40 ulp; a norm over 8 columns may be off by about 18.
                    let bits = at(0, 3).read_unaligned().to_bits();
                    at(0, 3).write_unaligned(f32::from_bits(bits + 40));
                }
                Fault::DiffersBetweenRuns => {
                    if self.calls.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                        let bits = at(0, 3).read_unaligned().to_bits();
                        at(0, 3).write_unaligned(f32::from_bits(bits ^ 1));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What the harness says of a backend with this fault.
fn verdict(fault: Fault) -> String {
    let spoilt = Spoilt { cpu: Cpu::new(), fault, calls: AtomicUsize::new(0) };
    let f32s = dropless::DType::F32;
    let op = RmsNormSpec { rows: 3, dim: 8, eps: 1e-5.into(), x: f32s, weight: f32s, out: f32s, residual: false };
    match judge(&spoilt, &Case::usual("spoilt", op), None) {
        Ok(judged) => judged.wrong.join("; "),
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_misbehaviour_is_named() {
    assert_eq!(verdict(Fault::None), "");
    let named = [
        (Fault::WritesBehind, "outside it was written"),
        (Fault::WritesBefore, "outside it was written"),
        (Fault::WritesInput, "of this input was written"),
        (Fault::WritesScratchGuard, "outside it was written"),
        (Fault::LeavesLastRow, "was not written"),
        (Fault::GivesNan, "is NaN"),
        (Fault::FarOff, "off by"),
        (Fault::DiffersBetweenRuns, "differs between two runs"),
        (Fault::IgnoresStride, "was written"),
        (Fault::FarOffUnaligned, "rows not aligned: "),
        (Fault::RefusesUnaligned, "rows are not aligned"),
    ];
    for (fault, words) in named {
        let got = verdict(fault);
        assert!(got.contains(words), "{fault:?}: {got:?} does not say {words:?}");
    }
}

#[test]
fn every_case_is_legal_and_has_its_own_name() {
    fn check<O: Cases>() {
        let cases = O::cases();
        let names: std::collections::BTreeSet<&str> = cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{}: two cases of one name", O::NAME);
        for case in &cases {
            assert!(case.op.check().is_ok(), "{} {}: {:?}", O::NAME, case.name, case.op.check());
        }
    }
    use dropless::op::{
        ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, Mxfp4PrepackSpec, RopeSpec,
        SwigluSpec, moe,
    };
    check::<GroupedGemmSpec>();
    check::<FlashAttnSpec>();
    check::<moe::RouteSpec>();
    check::<moe::SortSpec>();
    check::<moe::DispatchSpec>();
    check::<moe::PermuteSpec>();
    check::<moe::CombineSpec>();
    check::<KvAppendSpec>();
    check::<RopeSpec>();
    check::<RmsNormSpec>();
    check::<SwigluSpec>();
    check::<EmbeddingSpec>();
    check::<ArgmaxSpec>();
    check::<Mxfp4PrepackSpec>();
}
