//! config.json in either naming. A field that is absent takes gpt-oss's value; the dimensions must be there.

use super::{Config, HARMONY_EOS, MAX_LAYERS, rope};
use crate::dtype::Scalar;
use crate::error::Error;
use crate::op::moe::Score;
use crate::op::{Pairing, Swiglu, YarnRope};
use serde_json::{Map, Value};
use std::path::Path;

pub(super) fn open(dir: &Path) -> Result<Config, Error> {
    let path = dir.join("config.json");
    let mut config = parse(&path, &std::fs::read(&path).map_err(|e| Error::file(&path, e))?)?;
    let path = dir.join("generation_config.json");
    if path.is_file() {
        let json = std::fs::read(&path).map_err(|e| Error::file(&path, e))?;
        if let Some(eos) = Fields::parse(&path, &json)?.eos()? {
            config.eos = eos;
            config.check().map_err(|e| Error::file(&path, e))?;
        }
    }
    Ok(config)
}

pub(super) fn parse(path: &Path, json: &[u8]) -> Result<Config, Error> {
    let fields = Fields::parse(path, json)?;
    if let Some(kind) = fields.value(&["model_type"])?.filter(|(_, kind)| *kind != "gpt_oss") {
        return Err(fields.wrong(kind.0, "\"gpt_oss\"", kind.1));
    }
    let layers = fields.required(&["num_hidden_layers"])?;
    let head_dim = fields.count(&["head_dim"])?.unwrap_or(64);
    let (rope, max_context) = fields.rope(head_dim)?;
    let vocab = fields.required(&["vocab_size"])?;
    // The original config does not speak of stop tokens at all; HF's may say null.
    let silent = !fields.map.contains_key("eos_token_id") && vocab > HARMONY_EOS[2] as usize;
    let config = Config {
        layers,
        hidden: fields.required(&["hidden_size"])?,
        intermediate: fields.required(&["intermediate_size"])?,
        experts: fields.required(&["num_local_experts", "num_experts"])?,
        top_k: fields.required(&["num_experts_per_tok", "experts_per_token"])?,
        vocab,
        q_heads: fields.required(&["num_attention_heads"])?,
        kv_heads: fields.required(&["num_key_value_heads"])?,
        head_dim,
        sm_scale: 1.0 / (head_dim as f64).sqrt(),
        rms_eps: fields.real(&["rms_norm_eps"])?.unwrap_or(1e-5),
        layer_windows: fields.windows(layers)?,
        rope,
        pairing: Pairing::HalfSplit,
        swiglu: Swiglu { limit: Some(Scalar(fields.real(&["swiglu_limit"])?.unwrap_or(7.0))), ..Swiglu::GPT_OSS },
        score: Score::SoftmaxAfterTopK,
        tied_head: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        max_context,
        eos: if silent { HARMONY_EOS.to_vec() } else { fields.eos()?.unwrap_or_default() },
    };
    config.check().map_err(|e| Error::file(path, e))?;
    Ok(config)
}

/// A JSON object whose fields are asked for by name, and the file it came from.
struct Fields<'a> {
    path: &'a Path,
    map: Map<String, Value>,
}

/// A field that is there: its name and value.
type Found<'a> = (&'a str, &'a Value);

impl<'a> Fields<'a> {
    fn parse(path: &'a Path, json: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(json).map_err(|e| Error::file(path, format!("not JSON: {e}")))? {
            Value::Object(map) => Ok(Fields { path, map }),
            other => Err(Error::file(path, format!("must be a JSON object, got {}", brief(&other)))),
        }
    }

    fn wrong(&self, name: &str, want: &str, got: &Value) -> Error {
        Error::file(self.path, format!("`{name}` must be {want}, got {}", brief(got)))
    }

    /// The field under any of its names; null counts as absent. Where two names are given they must agree.
    fn value<'s>(&'s self, names: &[&'s str]) -> Result<Option<Found<'s>>, Error> {
        let mut found = names.iter().filter_map(|n| Some((*n, self.map.get(*n)?))).filter(|(_, v)| !v.is_null());
        let first = found.next();
        if let (Some((a, x)), Some((b, y))) = (first, found.next())
            && x != y
        {
            return Err(self.wrong(b, &format!("the same as `{a}`, {}", brief(x)), y));
        }
        Ok(first)
    }

    fn count(&self, names: &[&str]) -> Result<Option<usize>, Error> {
        let Some((name, value)) = self.value(names)? else { return Ok(None) };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| self.wrong(name, "a whole number, 0 or more", value))
    }

    fn required(&self, names: &[&str]) -> Result<usize, Error> {
        let missing = || Error::file(self.path, format!("`{}` is missing", names.join("` or `")));
        self.count(names)?.ok_or_else(missing)
    }

    fn real(&self, names: &[&str]) -> Result<Option<f64>, Error> {
        let Some((name, value)) = self.value(names)? else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(name, "a number", value))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some((name, value)) = self.value(&[name])? else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "true or false", value))
    }

    /// One stop token, several, or none.
    fn eos(&self) -> Result<Option<Vec<u32>>, Error> {
        let Some((name, value)) = self.value(&["eos_token_id"])? else { return Ok(None) };
        let one = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        let ids = match value {
            Value::Array(ids) => ids.iter().map(one).collect::<Option<Vec<_>>>(),
            id => one(id).map(|id| vec![id]),
        };
        ids.map(Some).ok_or_else(|| self.wrong(name, "a token id or a list of them", value))
    }

    /// `sliding_window` keys where `layer_types` says so; without it, in every other layer from the first.
    fn windows(&self, layers: usize) -> Result<Vec<usize>, Error> {
        let window = match self.map.get("sliding_window") {
            Some(Value::Null) => 0,
            _ => self.count(&["sliding_window"])?.unwrap_or(128),
        };
        if !(1..=MAX_LAYERS).contains(&layers) {
            // `Config::check` says so.
            return Ok(Vec::new());
        }
        let Some((name, value)) = self.value(&["layer_types"])? else {
            return Ok(Config::alternating_windows(layers, window));
        };
        let types = value.as_array().filter(|t| t.len() == layers);
        let types = types.ok_or_else(|| self.wrong(name, &format!("a list of {layers} layer types"), value))?;
        let mut windows = Vec::with_capacity(types.len());
        for kind in types {
            windows.push(match kind.as_str() {
                Some("sliding_attention") if window > 0 => window,
                Some("sliding_attention") => return Err(self.wrong("sliding_window", "above zero", &Value::Null)),
                Some("full_attention") => 0,
                _ => return Err(self.wrong(name, "sliding_attention or full_attention in each layer", kind)),
            });
        }
        Ok(windows)
    }

    /// The frequencies, and the longest context they are meant for.
    fn rope(&self, head_dim: usize) -> Result<(YarnRope, usize), Error> {
        let plain = YarnRope { factor: Scalar(1.0), ..rope(head_dim, 4096) };
        let hf = self.value(&["rope_parameters"])?.or(self.value(&["rope_scaling"])?);
        let mut out = match hf {
            Some((name, Value::Object(map))) => self.rope_parameters(name, map, head_dim)?,
            Some((name, other)) => return Err(self.wrong(name, "a JSON object", other)),
            // HF says null where the frequencies are not scaled.
            None if self.map.contains_key("rope_scaling") => plain,
            None => self.rope_original(head_dim)?,
        };
        if let Some(theta) = self.real(&["rope_theta"])? {
            out.theta = Scalar(theta);
        }
        let extended = out.original as f64 * out.factor.0.max(1.0);
        let max_context = self.count(&["max_position_embeddings"])?.unwrap_or(extended as usize);
        Ok((out, max_context))
    }

    fn rope_parameters(&self, name: &str, map: &Map<String, Value>, head_dim: usize) -> Result<YarnRope, Error> {
        let inner = Fields { path: self.path, map: map.clone() };
        let kind = inner.value(&["rope_type", "type"])?;
        let yarn = match kind.map(|(_, v)| (v, v.as_str())) {
            None | Some((_, Some("yarn"))) => true,
            Some((_, Some("default"))) => false,
            Some((v, _)) => return Err(self.wrong(&format!("{name}.rope_type"), "\"yarn\" or \"default\"", v)),
        };
        // Other ways to set the factor on cosines and sines, which gpt-oss derives from `factor`.
        for other in ["attention_factor", "mscale", "mscale_all_dim"] {
            if let Some((_, value)) = inner.value(&[other])? {
                return Err(self.wrong(&format!("{name}.{other}"), "absent, as in gpt-oss", value));
            }
        }
        let original = inner.count(&["original_max_position_embeddings"])?.or(self.count(&["initial_context_length"])?);
        let base = rope(head_dim, original.unwrap_or(4096));
        let real = |name, default: Scalar| Ok::<_, Error>(inner.real(&[name])?.map_or(default, Scalar));
        Ok(YarnRope {
            theta: real("rope_theta", base.theta)?,
            factor: if yarn { real("factor", base.factor)? } else { Scalar(1.0) },
            beta_fast: real("beta_fast", base.beta_fast)?,
            beta_slow: real("beta_slow", base.beta_slow)?,
            truncate: inner.flag("truncate")?.unwrap_or(base.truncate),
            ..base
        })
    }

    fn rope_original(&self, head_dim: usize) -> Result<YarnRope, Error> {
        let base = rope(head_dim, self.count(&["initial_context_length"])?.unwrap_or(4096));
        let real = |name, default: Scalar| Ok::<_, Error>(self.real(&[name])?.map_or(default, Scalar));
        Ok(YarnRope {
            factor: real("rope_scaling_factor", base.factor)?,
            beta_slow: real("rope_ntk_alpha", base.beta_slow)?,
            beta_fast: real("rope_ntk_beta", base.beta_fast)?,
            ..base
        })
    }
}

/// A value as an error shows it: short.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".into(),
        other => other.to_string().chars().take(60).collect(),
    }
}
