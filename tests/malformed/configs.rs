//! config.json: missing, absurd, of the wrong type; and what it may leave out.

use crate::common::{config, config_json, parse_config, refused};
use dropless::gpt_oss::{Config, Layout};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn both_namings_say_the_same() {
    assert_eq!(config(Layout::Hf), config(Layout::Original));
    for preset in dropless::gpt_oss::config::PRESETS {
        let config = Config::preset(preset).unwrap();
        for layout in Layout::ALL {
            let json = config.to_json(layout).unwrap();
            assert_eq!(Config::parse(Path::new("config.json"), json.as_bytes()).unwrap(), config, "{preset} {layout}");
        }
    }
    refused(Config::preset("gpt-5"), &["gpt-5", "tiny, gpt-oss-20b"]);
}

#[test]
fn transformers_5_and_silence() {
    let mut json = config_json(Layout::Hf);
    let object = json.as_object_mut().unwrap();
    let mut rope = object.remove("rope_scaling").unwrap();
    rope["rope_theta"] = object.remove("rope_theta").unwrap();
    object.insert("rope_parameters".into(), rope);
    for defaulted in ["layer_types", "swiglu_limit", "rms_norm_eps", "head_dim", "tie_word_embeddings"] {
        object.remove(defaulted);
    }
    assert_eq!(parse_config(&json).unwrap(), config(Layout::Hf));

    json["sliding_window"] = Value::Null;
    assert_eq!(parse_config(&json).unwrap().layer_windows, [0; 4]);
    json["eos_token_id"] = json!([5, 6]);
    assert_eq!(parse_config(&json).unwrap().eos, [5, 6]);
    json["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 10000.0 });
    assert_eq!(parse_config(&json).unwrap().rope.factor.0, 1.0);
}

#[test]
fn every_field_is_checked() {
    let cases = [
        ("num_hidden_layers", json!(0), "1 to 1024, got 0"),
        ("num_hidden_layers", json!(u64::MAX), "1 to 1024, got 18446744073709551615"),
        ("hidden_size", json!(-128), "a whole number, 0 or more, got -128"),
        ("hidden_size", json!(130), "multiple of the MXFP4 block, 32, got 130"),
        ("hidden_size", json!(1u64 << 40), "got 1099511627776"),
        ("hidden_size", json!("128"), "got \"128\""),
        ("intermediate_size", json!(96.5), "got 96.5"),
        ("num_local_experts", json!(513), "1 to 512, got 513"),
        ("num_experts_per_tok", json!(5), "the same as `num_experts_per_tok`"),
        ("vocab_size", json!(0), "got 0"),
        ("num_attention_heads", json!(7), "multiple of kv_heads 2, got 7"),
        ("num_key_value_heads", json!(0), "got 0"),
        ("head_dim", json!(63), "even, got 63"),
        ("head_dim", json!(1 << 20), "2 to 256"),
        ("rms_norm_eps", json!(-1e-5), "got -0.00001"),
        ("rms_norm_eps", json!([1e-5]), "a number, got a list of 1"),
        ("swiglu_limit", json!(0), "above zero, got 0"),
        ("rope_theta", json!(0.5), "above 1, got 0.5"),
        ("rope_scaling", json!([]), "a JSON object"),
        ("rope_scaling", json!({ "rope_type": "llama3" }), "\"yarn\" or \"default\", got \"llama3\""),
        ("rope_scaling", json!({ "factor": -2 }), "rope factor"),
        ("rope_scaling", json!({ "mscale": 0.7 }), "`rope_scaling.mscale` must be absent"),
        ("rope_scaling", json!({ "beta_fast": 0.5 }), "above beta_slow"),
        ("rope_scaling", json!({ "original_max_position_embeddings": 0 }), "rope original context"),
        ("layer_types", json!(["full_attention"]), "a list of 4 layer types"),
        ("layer_types", json!(["a", "b", "c", "d"]), "got \"a\""),
        ("sliding_window", json!(0), "above zero"),
        ("tie_word_embeddings", json!(1), "true or false"),
        ("max_position_embeddings", json!(0), "max_context"),
        ("eos_token_id", json!(512), "below the vocabulary of 512, got 512"),
        ("eos_token_id", json!([-1]), "a token id or a list of them"),
        ("model_type", json!("llama"), "\"gpt_oss\", got \"llama\""),
    ];
    for (field, value, words) in cases {
        let mut json = config_json(Layout::Hf);
        json[field] = value;
        refused(parse_config(&json), &["config.json", words]);
    }
    for field in ["num_hidden_layers", "hidden_size", "vocab_size", "num_local_experts", "num_key_value_heads"] {
        let mut json = config_json(Layout::Hf);
        json.as_object_mut().unwrap().remove(field);
        refused(parse_config(&json), &[field, "is missing"]);
    }
    for text in ["", "[]", "{", "null", "{\"a\":1e999}"] {
        refused(Config::parse(Path::new("config.json"), text.as_bytes()), &["config.json", "JSON"]);
    }
}
