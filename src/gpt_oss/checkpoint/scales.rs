//! Scales of keys and values, which a checkpoint may have beside its weights: what they are divided by in a cache of f8e4m3.

use super::names::{LayerPart, Part};
use super::{Checkpoint, Layout};
use crate::dtype::DType;
use crate::error::Error;

impl Checkpoint {
    /// Of a layer's keys and values, for each head; 1 for what is not there, unless no layer has any.
    ///
    /// # Errors
    /// [`Error::Input`] where one is not f32 of one element or one a key head, or is not a positive number.
    pub(crate) fn kv_scales(&self, layer: usize) -> Result<Option<[Vec<f64>; 2]>, Error> {
        let name = |n, part, scale| Part::Layer(n, part).name(Layout::Hf).replace("weight", scale);
        let names = |n| [name(n, LayerPart::KWeight, "k_scale"), name(n, LayerPart::VWeight, "v_scale")];
        if !(0..self.config.layers).flat_map(names).any(|name| self.place.contains_key(&name)) {
            return Ok(None);
        }
        let [k, v] = names(layer);
        Ok(Some([self.scales(&k)?, self.scales(&v)?]))
    }

    fn scales(&self, name: &str) -> Result<Vec<f64>, Error> {
        let heads = self.config.kv_heads;
        let Some(tensor) = self.tensor(name)? else { return Ok(vec![1.0; heads]) };
        let scales = tensor.to_f64();
        if tensor.dtype != DType::F32 || ![1, heads].contains(&scales.len()) {
            let (dtype, shape) = (tensor.dtype, &tensor.shape);
            return Err(Error::input(name, format!("must be f32, one element or {heads}, got {dtype} {shape:?}")));
        }
        if let Some(wrong) = scales.iter().find(|scale| !(**scale > 0.0 && scale.is_finite())) {
            return Err(Error::input(name, format!("must be positive numbers, got {wrong}")));
        }
        Ok(if let [one] = scales[..] { vec![one; heads] } else { scales })
    }
}
