//! The same layer on the reference, in host memory: what each step of an engine is compared with.

use crate::layer::{HIDDEN, LENGTHS, Layer, Place, Places, TOKENS};
use dropless::{AllOps, Cpu, DType, HostTensor, Tensor};
use std::collections::HashMap;

type Failure = Box<dyn std::error::Error>;

pub struct Reference {
    cpu: Cpu,
    layer: Layer<Cpu>,
    places: Places<Cpu>,
    tensors: HashMap<&'static str, Tensor<Cpu>>,
}

impl Reference {
    pub fn new(host: &[(&'static str, HostTensor)]) -> Result<Self, Failure> {
        let cpu = Cpu::new();
        let layer = Layer::plan(&cpu)?;
        let (mut tensors, mut places) = (HashMap::new(), Places::new());
        for (name, t) in host {
            let mut tensor = Tensor::from_bytes(&cpu, t.dtype, &t.shape, t.bytes.as_slice())?;
            places.insert(*name, Place { mem: *tensor.view_mut().mem(), dtype: t.dtype, shape: t.shape.clone() });
            tensors.insert(*name, tensor);
        }
        Ok(Reference { cpu, layer, places, tensors })
    }

    /// Is `out` what step `step`, counted from 1, gives?
    pub fn check(&mut self, step: i32, out: Vec<u8>) -> Result<(), Failure> {
        let longer = LENGTHS.map(|n| n + step);
        let lengths = HostTensor::from_i32(&[TOKENS], &longer)?;
        self.tensors.get_mut("k_len").ok_or("no lengths")?.write(&self.cpu, lengths.bytes.as_slice())?;
        self.layer.enqueue(&self.cpu, &self.places, &mut ())?;
        let numbers =
            |bytes: Vec<u8>| Ok::<_, Failure>(HostTensor::new(DType::Bf16, &[TOKENS, HIDDEN], bytes.into())?.to_f64());
        let (got, want) = (numbers(out)?, numbers(self.tensors["out"].read(&self.cpu)?)?);
        let off = norm(got.iter().zip(&want).map(|(g, w)| g - w)) / norm(want.iter().copied());
        println!("step {step}: keys {longer:?}, relative error {off:.1e} against the reference");
        // Three roundings to bf16 in series, 2^-9 each at most.
        if off.is_nan() || off > 6e-3 { Err("the result is not the reference's".into()) } else { Ok(()) }
    }
}

/// The device and what runs on it.
pub fn describe<B: AllOps>(backend: &B, layer: &Layer<B>) -> String {
    let variants = [layer.up.variant(), layer.attention.variant(), layer.dispatch.variant()];
    format!("{}: MoE {}, attention {}, dispatch {}", backend.device().name, variants[0], variants[1], variants[2])
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}
