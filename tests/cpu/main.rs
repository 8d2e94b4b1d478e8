//! The reference on examples small enough to work out by hand.

mod flash_attn;
mod grouped_gemm;
mod moe;
mod small;

use dropless::op::Fault;
use dropless::{Cpu, DType, Error, Hint, HostTensor, Kernel, Op, Provide, Tensor};

/// A floating-point tensor.
fn floats(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor<Cpu> {
    let host = HostTensor::from_f64(dtype, shape, values).unwrap();
    Tensor::from_bytes(&Cpu::new(), dtype, shape, host.bytes.as_slice()).unwrap()
}

/// An i32 tensor.
fn ints(shape: &[usize], values: &[i32]) -> Tensor<Cpu> {
    let host = HostTensor::from_i32(shape, values).unwrap();
    Tensor::from_bytes(&Cpu::new(), DType::I32, shape, host.bytes.as_slice()).unwrap()
}

/// An output that nobody has written yet: every byte 0x7f, which no test expects to find.
fn unwritten(dtype: DType, shape: &[usize]) -> Tensor<Cpu> {
    let bytes = vec![0x7f; shape.iter().product::<usize>() * dtype.bytes()];
    Tensor::from_bytes(&Cpu::new(), dtype, shape, &bytes).unwrap()
}

fn status() -> Tensor<Cpu> {
    Tensor::from_bytes(&Cpu::new(), DType::U32, &[1], &[0; 4]).unwrap()
}

fn host(tensor: &Tensor<Cpu>) -> HostTensor {
    let bytes = tensor.read(&Cpu::new()).unwrap();
    HostTensor::new(tensor.dtype(), tensor.shape().dims(), bytes.into()).unwrap()
}

fn values(tensor: &Tensor<Cpu>) -> Vec<f64> {
    host(tensor).to_f64()
}

fn faults(status: &Tensor<Cpu>) -> Vec<Fault> {
    Fault::in_word(values(status)[0] as u32).collect()
}

/// Plans and runs.
fn try_run<O: Op>(cpu: &Cpu, op: O, args: O::Args<'_, Cpu>) -> Result<(), Error>
where
    Cpu: Provide<O>,
{
    let kernel = Kernel::plan(cpu, op, Hint::default())?;
    let mut scratch = Tensor::empty(cpu, DType::U8, &[kernel.scratch().bytes])?;
    kernel.enqueue(cpu, args, scratch.view_mut(), &mut ())
}

fn run<O: Op>(cpu: &Cpu, op: O, args: O::Args<'_, Cpu>)
where
    Cpu: Provide<O>,
{
    try_run(cpu, op, args).unwrap();
}

fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{got:?} instead of {want:?}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(g == w || (g - w).abs() <= tolerance, "element {i}: {g} instead of {w}");
    }
}
