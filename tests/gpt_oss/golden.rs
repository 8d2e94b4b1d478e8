//! Against logits and continuations of independent implementations in f64.

use crate::common::{F32, F64, VECTORS, distance, file, oracle, single, tokens};
use dropless::gpt_oss::{Forward, Layout, Logits, Request, Sampling, Specials, Stop, Tokenizer, generate};
use std::ops::ControlFlow;

/// Bounds of the golden cases by class.
const F64_BOUND: f64 = 1e-10;
const F32_BOUND: f64 = 1.4e-4;

const ALL: Forward<'static> = Forward { logits: Logits::All, routing: None, record: None };

#[test]
fn logits_of_both_layouts() {
    for layout in [Layout::Hf, Layout::Original] {
        for len in [1, 7, 9, 40, 130] {
            let ids = tokens(&format!("len{len}.tokens"));
            let want =
                file("tiny-expected/expected.safetensors").get(&format!("len{len}.logits_f64")).unwrap().unwrap();
            let mut exact = oracle(layout, &F64);
            let got = exact.forward(&mut exact.session().unwrap(), &ids, ALL).unwrap();
            let off = distance(&got.to_f64(), &want.to_f64());
            assert!(off <= F64_BOUND, "{layout} len {len}: f64 off by {off}");
            let mut model = single(layout, &F32);
            let got = model.forward(&mut model.session().unwrap(), &ids, ALL).unwrap();
            let off = distance(&got.to_f64(), &want.to_f64());
            assert!(off <= F32_BOUND, "{layout} len {len}: f32 off by {off}");
        }
    }
}

#[test]
fn greedy_continuations_of_both_layouts() {
    for layout in [Layout::Hf, Layout::Original] {
        let mut model = single(layout, &F32);
        for n in 0..3 {
            let (prompt, want) = (tokens(&format!("greedy{n}.prompt")), tokens(&format!("greedy{n}.tokens")));
            let mut got = Vec::new();
            for logits in [false, true] {
                let (sampling, max_new) = (Sampling::Greedy, want.len());
                let request = Request { prompt: &prompt, max_new, sampling, stop: &[], logits };
                let mut session = model.session().unwrap();
                let stop = generate(&mut model, &mut session, &request, &mut |step| {
                    assert_eq!(step.logits.is_some(), logits);
                    got.push(step.token);
                    ControlFlow::Continue(())
                });
                assert_eq!(stop.unwrap(), Stop::MaxNew);
                assert_eq!(std::mem::take(&mut got), want, "{layout} {n}");
            }
        }
    }
}

#[test]
fn every_tokenize_case() {
    let json: serde_json::Value = serde_json::from_slice(&VECTORS["ops/tokenization.json"]).unwrap();
    let tokenizer = Tokenizer::harmony();
    assert_eq!(tokenizer.vocabulary_sha256().as_deref(), json["vocab_file_sha256"].as_str());
    assert_eq!(tokenizer.pattern(), json["pattern"].as_str());
    for (name, id) in json["special_tokens"].as_object().unwrap() {
        assert_eq!(tokenizer.special(name).map(u64::from), id.as_u64(), "{name}");
    }
    let mut count = 0;
    for (list, specials) in [("ordinary", Specials::AsText), ("with_specials", Specials::Parse)] {
        for case in json[list].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let want: Vec<u32> = case["ids"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u32).collect();
            assert_eq!(tokenizer.encode(text, specials).unwrap(), want, "{text:?}");
            assert_eq!(tokenizer.decode(&want), text);
            count += 1;
        }
    }
    assert_eq!(count, 26);
}
