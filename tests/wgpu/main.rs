//! The wgpu backend on whatever adapter is here. Without one these tests say so and pass, unless DROPLESS_REQUIRE names wgpu.
#![cfg(all(feature = "wgpu", feature = "testing"))]

mod ahead;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/layouts.rs"]
mod layouts;
mod matrices;

use common::assert_all_passed;
use dropless::op::cases::Data;
use dropless::op::{
    Combine, EmbeddingArgs, EmbeddingSpec, GroupedGemmSpec, LocalExperts, Mxfp4PrepackSpec, Op, RmsNormSpec,
    WeightFormat,
};
use dropless::testing::conform::Conform;
use dropless::testing::random::Random;
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Status, conform, present};
use dropless::{Backend, DType, Error, Explain, Hint, Kernel, Replay, Runtime, Tensor, View, Wgpu};
use std::sync::{Arc, Mutex};

fn device() -> Option<Wgpu> {
    present(Wgpu::new(0)).unwrap()
}

#[test]
fn an_adapter_that_is_not_there_is_refused_in_words() {
    match Wgpu::new(99) {
        Err(Error::Unavailable { backend: "wgpu", reason }) => assert!(reason.contains(' '), "{reason}"),
        other => panic!("{:?}", other.map(|_| "a device")),
    }
}

#[test]
fn layouts_of_a_checkpoint_compute_the_same() {
    if device().is_some() {
        layouts::compute_the_same(|| Wgpu::new(0).unwrap());
    }
}

/// y = 2 rows of `table` for a view of `ids` at `offset` bytes of a buffer of `bytes`.
fn embed_from(wgpu: &Wgpu, bytes: u64, offset: u64) -> Result<(), Error> {
    let spec = EmbeddingSpec { tokens: 2, vocab: 3, dim: 4, table: DType::F32, out: DType::F32 };
    let kernel = Kernel::plan(wgpu, spec, Hint::default())?;
    let table = Tensor::<Wgpu>::empty(wgpu, DType::F32, &[3, 4])?;
    let mut y = Tensor::<Wgpu>::empty(wgpu, DType::F32, &[2, 4])?;
    let mut scratch = Tensor::<Wgpu>::empty(wgpu, DType::U8, &[0])?;
    let buffer = wgpu.alloc(bytes as usize)?;
    let mem = Wgpu::offset(&wgpu.mem(&buffer), offset as usize);
    // SAFETY: what does not lie in the buffer is what the backend is to refuse; nothing else uses it.
    let ids = unsafe { View::from_raw(mem, DType::I32, &[2]) };
    let args = EmbeddingArgs { ids, table: table.view(), y: y.view_mut(), status: None };
    wgpu.submit(|encoder| kernel.enqueue(wgpu, args, scratch.view_mut(), encoder))
}

#[test]
fn views_that_cannot_be_bound_are_refused_in_words() {
    let Some(wgpu) = device() else { return };
    let words = |result: Result<(), Error>| result.expect_err("refused").to_string();
    embed_from(&wgpu, 264, 256).unwrap();
    embed_from(&wgpu, 64, 12).unwrap();
    let short = words(embed_from(&wgpu, 260, 256));
    assert!(short.contains("embedding `ids`") && short.contains("264") && short.contains("260"), "{short}");
    let crooked = words(embed_from(&wgpu, 264, 6));
    assert!(crooked.contains("multiple of 4"), "{crooked}");
}

#[test]
fn any_bytes_of_a_buffer_are_written_and_read() {
    let Some(wgpu) = device() else { return };
    let mut buffer = wgpu.alloc(11).unwrap();
    wgpu.write(&mut buffer, 0, b"hello world").unwrap();
    wgpu.write(&mut buffer, 5, b"-W").unwrap();
    wgpu.write(&mut buffer, 9, b"LD").unwrap();
    wgpu.write(&mut buffer, 3, b"").unwrap();
    let mut all = [0; 11];
    wgpu.read(&buffer, 0, &mut all).unwrap();
    assert_eq!(&all, b"hello-WorLD");
    let mut some = [0; 3];
    wgpu.read(&buffer, 7, &mut some).unwrap();
    assert_eq!(&some, b"orL");
    assert!(wgpu.read(&buffer, 9, &mut some).unwrap_err().to_string().contains("holds 11 bytes"));
}

/// An engine's device that is gone gives errors, not a panic.
#[test]
fn a_lost_device_is_an_error() {
    use dropless::wgpu::wgpu;
    let Some(_) = device() else { return };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    let lost = Wgpu::from_engine(device.clone(), queue).unwrap();
    let buffer = lost.alloc(16).unwrap();
    device.destroy();
    let words = lost.read(&buffer, 0, &mut [0; 16]).unwrap_err().to_string();
    assert!(words.contains("wgpu") && words.contains(' '), "{words}");
}

/// Weights that one binding does not take are bound an expert or a few at a time.
#[test]
fn experts_are_bound_by_window() {
    use dropless::wgpu::wgpu;
    let Some(_) = device() else { return };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let small = 16 << 10;
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: small, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let wgpu = Wgpu::from_engine(device, queue).unwrap();
    let (n, k) = (40, 128);
    for weights in [WeightFormat::Mxfp4, WeightFormat::Mxfp4Tiled, WeightFormat::Dense(DType::Bf16)] {
        for (rows, combine) in [(7, None), (20, Some(Combine { tokens: 10, top_k: 2, weight: DType::F32 }))] {
            let one = GroupedGemmSpec::linear(rows, n, k, DType::F32, DType::Bf16, Some(DType::F32), DType::F32);
            let local = LocalExperts { first: 1, count: 10 };
            let op = GroupedGemmSpec { weights, experts: 12, local, grouped: true, combine, ..one };
            let whole: usize =
                op.operands().iter().filter(|o| o.name == "w").map(|o| o.shape.len() * o.dtype.bytes()).sum();
            assert!(whole as u64 > small, "{weights:?}: {whole} bytes would fit");
            let inputs = op.fill(Data::Usual, &mut Random::new(5)).unwrap();
            let judged = conform::judge_on(&wgpu, &op, &inputs, None).unwrap();
            assert_eq!(judged.wrong, Vec::<String>::new(), "{weights:?}, {rows} rows");
        }
    }
    let prepack = |experts, n, k| {
        let op = Mxfp4PrepackSpec { experts, n, k };
        let inputs = op.fill(Data::Usual, &mut Random::new(5)).unwrap();
        conform::judge_on(&wgpu, &op, &inputs, None).map(|judged| judged.wrong)
    };
    assert_eq!(prepack(11, n, k).unwrap(), Vec::<String>::new());
    let large = prepack(1, 512, k).unwrap_err().to_string();
    assert!(large.contains("an expert takes 34816 bytes"), "{large}");
}

/// Every access checked.
#[test]
fn every_case_of_every_op_as_webgpu_runs_it() {
    let Some(wgpu) = present(Wgpu::portable(0)).unwrap() else { return };
    assert_all_passed(&conform::run(&wgpu, &Filter::default(), |_| {}));
}

/// Nothing checked: what a kernel wrote outside its operands would be found in their guard zones. Each variant on every case that
/// it may run, whether the chooser would take it or not.
#[test]
fn every_variant_when_forced() {
    let Some(wgpu) = device() else { return };
    for (op, variant) in dropless::wgpu::variants() {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&wgpu, &filter, |_| {});
        let failed: Vec<String> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        // A feature that the device lacks, or more bindings than it takes.
        let lacks = |message: &str| message.contains("needs the feature") || message.contains("the device takes");
        let other = report.rows.iter().all(|r| r.status == Status::Skipped && lacks(&r.message));
        assert!(report.count(Status::Passed) > 0 || other, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}{}", if other { ", not for this device" } else { "" });
    }
}

#[test]
fn golden_vectors() {
    let Some(wgpu) = device() else { return };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(wgpu), Class::F32, &Filter::default(), |_| {}));
}

/// What variants rely on holds on the drivers that these tests run on.
#[test]
fn this_driver_passes_every_probe() {
    let Some(wgpu) = device() else { return };
    assert_eq!(wgpu.capabilities().faults, []);
}

/// A driver whose subgroups lose an invocation's part, or exchange nothing: what is made of them is not run, and the reason said.
#[test]
fn variants_with_subgroups_are_off_where_a_driver_gets_them_wrong() {
    let subgroups = dropless::wgpu::wgpu::Features::SUBGROUP;
    let Some(sound) = device().filter(|wgpu| wgpu.capabilities().features.contains(subgroups)) else {
        eprintln!("this adapter has no subgroups");
        return;
    };
    let (x, weight, out) = (DType::F32, DType::F32, DType::F32);
    let op = RmsNormSpec { rows: 1, dim: 64, eps: 1e-5.into(), x, weight, out, residual: false };
    let forced = Hint { variant: Some("subgroup"), ..Hint::default() };
    assert_eq!(Kernel::plan(&sound, op, forced).unwrap().variant(), "subgroup");
    let faults = [
        ("subgroupAdd(value)", "subgroupAdd(select(value, 0.0, lane == 77u))"),
        ("subgroupMax(u32(value))", "u32(value)"),
        ("subgroupShuffleXor(value, 2u)", "subgroupShuffleXor(value, 1u)"),
    ];
    for (from, to) in faults {
        let wgpu = Wgpu::edited(0, move |text| text.replace(from, to)).unwrap();
        let faults = &wgpu.capabilities().faults;
        assert!(matches!(&faults[..], [fault] if fault.probe == "subgroups"), "{from}: {faults:?}");
        let refused = Kernel::plan(&wgpu, op, forced).err().expect(from).to_string();
        assert!(refused.contains("failed the probe `subgroups`: result"), "{refused}");
        let told = wgpu.explain_here(&op, Hint::default()).unwrap();
        assert!(format!("{told:?}").contains("failed the probe `subgroups`"), "{told:?}");
        assert_eq!(Kernel::plan(&wgpu, op, Hint::default()).unwrap().variant(), "held");
    }
}

/// Texts that name cooperative matrices go to the driver as SPIR-V of ours. Here all take that way, matrices or not: names of entry
/// points, bindings and constants arrive.
#[test]
fn kernels_as_spirv_of_ours() {
    let passes_on = dropless::wgpu::wgpu::Features::PASSTHROUGH_SHADERS;
    let Some(_) = device().filter(|wgpu| wgpu.capabilities().features.contains(passes_on)) else {
        eprintln!("this adapter takes no SPIR-V");
        return;
    };
    let wgpu = Wgpu::edited(0, |text| format!("enable wgpu_cooperative_matrix;\n{text}")).unwrap();
    let ops = ["grouped_gemm", "rms_norm"].map(String::from).to_vec();
    assert_all_passed(&conform::run(&wgpu, &Filter { ops, ..Filter::default() }, |_| {}));
}

/// A sequence's attention is the same bits beside any neighbours, and with `splits` in a batch of any size.
#[test]
fn attention_is_batch_invariant() {
    let Some(wgpu) = device() else { return };
    assert_eq!(conform::batch_invariant(&wgpu).unwrap(), Vec::<String>::new());
}

/// Launches alone are replayed: a copy between them is refused, not left out.
#[test]
fn recordings_are_of_kernels_alone() {
    let Some(wgpu) = device() else { return };
    let spec = EmbeddingSpec { tokens: 2, vocab: 3, dim: 4, table: DType::F32, out: DType::F32 };
    let kernel = Kernel::plan(&wgpu, spec, Hint::default()).unwrap();
    let ids: Vec<u8> = [2i32, 1].iter().flat_map(|id| id.to_le_bytes()).collect();
    let ids = Tensor::<Wgpu>::from_bytes(&wgpu, DType::I32, &[2], &ids).unwrap();
    let values: Vec<u8> = (0..12u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    let table = Tensor::<Wgpu>::from_bytes(&wgpu, DType::F32, &[3, 4], &values).unwrap();
    let other = wgpu.alloc(4).unwrap();
    let y = Mutex::new(Tensor::<Wgpu>::empty(&wgpu, DType::F32, &[2, 4]).unwrap());
    let scratch = Mutex::new(Tensor::<Wgpu>::empty(&wgpu, DType::U8, &[0]).unwrap());
    let embed = |encoder: &mut _| {
        let (mut y, mut scratch) = (y.lock().unwrap(), scratch.lock().unwrap());
        let args = EmbeddingArgs { ids: ids.view(), table: table.view(), y: y.view_mut(), status: None };
        kernel.enqueue(&wgpu, args, scratch.view_mut(), encoder)
    };
    let recorded = wgpu.record(embed).unwrap();
    for _ in 0..2 {
        y.lock().unwrap().write_prefix(&wgpu, &[0; 32]).unwrap();
        wgpu.replay(&recorded).unwrap();
        assert_eq!(
            y.lock().unwrap().read_prefix(&wgpu, &[2, 4]).unwrap().to_f64(),
            [8.0, 9.0, 10.0, 11.0, 4.0, 5.0, 6.0, 7.0]
        );
    }
    let clears = wgpu.record(|encoder| {
        encoder.clear_buffer(&wgpu.mem(&other).buffer, 0, None);
        embed(encoder)
    });
    let problem = clears.err().expect("refused").to_string();
    assert!(problem.contains("calls of kernels, and nothing else"), "{problem}");
}
