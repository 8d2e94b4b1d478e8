//! config.json as HF or OpenAI's original code would write it.

use super::{Config, HARMONY_EOS};
use crate::error::Error;
use crate::gpt_oss::checkpoint::Layout;
use crate::op::moe::Score;
use crate::op::{Pairing, Swiglu};
use serde_json::{Value, json};

pub(super) fn to_json(config: &Config, layout: Layout) -> Result<String, Error> {
    let fixed = [
        ("pairing", config.pairing == Pairing::HalfSplit),
        ("score", config.score == Score::SoftmaxAfterTopK),
        ("swiglu", Swiglu { limit: Swiglu::GPT_OSS.limit, ..config.swiglu } == Swiglu::GPT_OSS),
        ("swiglu limit", config.swiglu.limit.is_some()),
        ("sm_scale", config.sm_scale == 1.0 / (config.head_dim as f64).sqrt()),
        ("layer windows", one_window(config).is_some()),
    ];
    refuse(&fixed)?;
    let value = match layout {
        Layout::Hf | Layout::Prepacked => hf(config),
        Layout::Original => original(config)?,
    };
    Ok(format!("{value:#}\n"))
}

fn refuse(conditions: &[(&str, bool)]) -> Result<(), Error> {
    match conditions.iter().find(|(_, ok)| !ok) {
        None => Ok(()),
        Some((what, _)) => Err(Error::input(
            format!("model config: {what}"),
            "differs from gpt-oss, and config.json has no field for it",
        )),
    }
}

/// The one window that all sliding layers have; 0 where none slides.
fn one_window(config: &Config) -> Option<usize> {
    let mut windows = config.layer_windows.iter().copied().filter(|w| *w > 0);
    let first = windows.next().unwrap_or(0);
    windows.all(|w| w == first).then_some(first)
}

fn hf(config: &Config) -> Value {
    let kind = |w: &usize| if *w > 0 { "sliding_attention" } else { "full_attention" };
    let eos = match config.eos.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    };
    json!({
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": true,
        "eos_token_id": eos,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "layer_types": config.layer_windows.iter().map(kind).collect::<Vec<_>>(),
        "max_position_embeddings": config.max_context,
        "model_type": "gpt_oss",
        "num_attention_heads": config.q_heads,
        "num_experts_per_tok": config.top_k,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "num_local_experts": config.experts,
        "quantization_config": {
            "modules_to_not_convert":
                ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4",
        },
        "rms_norm_eps": config.rms_eps,
        "rope_scaling": {
            "beta_fast": config.rope.beta_fast.0,
            "beta_slow": config.rope.beta_slow.0,
            "factor": config.rope.factor.0,
            "original_max_position_embeddings": config.rope.original,
            "rope_type": "yarn",
            "truncate": config.rope.truncate,
        },
        "rope_theta": config.rope.theta.0,
        "sliding_window": one_window(config),
        "swiglu_limit": config.swiglu.limit.map(|l| l.0),
        "tie_word_embeddings": config.tied_head,
        "torch_dtype": "bfloat16",
        "vocab_size": config.vocab,
    })
}

fn original(config: &Config) -> Result<Value, Error> {
    let window = one_window(config).unwrap_or(0);
    refuse(&[
        ("layer windows", config.layer_windows == Config::alternating_windows(config.layers, window)),
        ("rms_eps", config.rms_eps == 1e-5),
        ("tied head", !config.tied_head),
        ("rope truncate", !config.rope.truncate),
    ])?;
    let mut value = json!({
        "num_hidden_layers": config.layers,
        "num_experts": config.experts,
        "experts_per_token": config.top_k,
        "vocab_size": config.vocab,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "swiglu_limit": config.swiglu.limit.map(|l| l.0),
        "head_dim": config.head_dim,
        "num_attention_heads": config.q_heads,
        "num_key_value_heads": config.kv_heads,
        "sliding_window": window,
        "initial_context_length": config.rope.original,
        "rope_theta": config.rope.theta.0,
        "rope_scaling_factor": config.rope.factor.0,
        "rope_ntk_alpha": config.rope.beta_slow.0,
        "rope_ntk_beta": config.rope.beta_fast.0,
    });
    // Two facts the original naming has no word for are kept under HF's, which readers of the original ignore.
    if config.max_context as f64 != config.rope.original as f64 * config.rope.factor.0 {
        value["max_position_embeddings"] = json!(config.max_context);
    }
    let implied: &[u32] = if config.vocab > HARMONY_EOS[2] as usize { &HARMONY_EOS } else { &[] };
    if config.eos != implied {
        value["eos_token_id"] = json!(config.eos);
    }
    Ok(value)
}
