//! The KV cache: however a prompt is cut, and whatever was recycled meanwhile, the result is the same.

use crate::common::{F32, F64, oracle, single, tokens};
use dropless::gpt_oss::{Feed, Forward, Layout, Logits, Model, Options, Session};
use dropless::{Cpu, HostTensor};
use std::collections::BTreeMap;

const ALL: Forward<'static> = Forward { logits: Logits::All, routing: None, record: None };

fn feed(model: &mut Model<Cpu>, session: &mut Session, ids: &[u32], pieces: &[usize]) -> Vec<f64> {
    let (mut logits, mut at) = (Vec::new(), 0);
    for piece in pieces.iter().cycle() {
        let end = ids.len().min(at + piece);
        logits.extend(model.forward(session, &ids[at..end], ALL).unwrap().to_f64());
        at = end;
        if at == ids.len() {
            break;
        }
    }
    logits
}

/// 300 tokens at once keep every key of the sliding layers; in pieces of at most 7 their rings of 64 places are recycled
/// several times.
#[test]
fn pieces_and_rings_change_nothing() {
    let ids: Vec<u32> = (0..300).map(|i| i * 37 % 512).collect();
    let mut whole = single(Layout::Hf, &Options { max_chunk: 300, ..F32 });
    let mut session = whole.session().unwrap();
    let want = feed(&mut whole, &mut session, &ids, &[300]);
    for (max_chunk, pieces) in [(7, vec![300]), (7, vec![1, 7, 5]), (1, vec![300]), (300, vec![1, 128, 3])] {
        let mut model = single(Layout::Hf, &Options { max_chunk, ..F32 });
        let mut session = model.session().unwrap();
        assert!(feed(&mut model, &mut session, &ids, &pieces) == want, "{max_chunk}, {pieces:?}");
        assert_eq!(session.len(), 300);
    }
}

#[test]
fn the_last_row_is_the_last_of_all() {
    let ids = tokens("len40.tokens");
    let mut model = single(Layout::Hf, &Options { max_chunk: 16, ..F32 });
    let all = model.forward(&mut model.session().unwrap(), &ids, ALL).unwrap();
    let last = model.forward(&mut model.session().unwrap(), &ids, Forward::LAST).unwrap();
    assert_eq!((all.shape.as_slice(), last.shape.as_slice()), ([40, 512].as_slice(), [1, 512].as_slice()));
    assert_eq!(all.to_f64()[39 * 512..], last.to_f64());
}

#[test]
fn sessions_do_not_see_each_other() {
    let mut model = single(Layout::Hf, &F32);
    let (a, b) = (tokens("len9.tokens"), tokens("len7.tokens"));
    let [mut first, mut one, mut two] = [(); 3].map(|()| model.session().unwrap());
    let alone = feed(&mut model, &mut first, &a, &[9]);
    let mut apart = model.forward(&mut one, &a[..4], ALL).unwrap().to_f64();
    model.forward(&mut two, &b, ALL).unwrap();
    apart.extend(model.forward(&mut one, &a[4..], ALL).unwrap().to_f64());
    assert!(apart == alone);
}

/// Batches of sequences of any lengths, each as if it were alone: prompts together, then token by token, in another order
/// and with one of them missing.
#[test]
fn batches_change_nothing() {
    let prompts = [tokens("len40.tokens"), tokens("len9.tokens"), tokens("len7.tokens")];
    let more: [Vec<u32>; 3] = [[3, 1, 4], [1, 5, 9], [2, 6, 5]].map(Vec::from);
    let mut model = single(Layout::Hf, &F32);
    let alone: Vec<Vec<f64>> = prompts
        .iter()
        .zip(&more)
        .map(|(prompt, more)| {
            let mut session = model.session().unwrap();
            let ids: Vec<u32> = prompt.iter().chain(more).copied().collect();
            feed(&mut model, &mut session, &ids, &[ids.len()])
        })
        .collect();
    let row = |sequence: usize, position: usize| &alone[sequence][position * 512..(position + 1) * 512];

    for max_chunk in [256, 16] {
        let mut model = single(Layout::Hf, &Options { max_chunk, ..F32 });
        let mut sessions = [(); 3].map(|()| model.session().unwrap());
        let mut batch: Vec<Feed> =
            sessions.iter_mut().zip(&prompts).map(|(session, tokens)| Feed { session, tokens }).collect();
        let last = model.forward_batch(&mut batch, Forward::LAST).unwrap();
        assert_eq!(last.shape, [3, 512]);
        for (i, got) in last.to_f64().chunks_exact(512).enumerate() {
            assert_eq!(got, row(i, prompts[i].len() - 1), "prompt {i}, chunks of {max_chunk}");
        }
        for (step, order) in [vec![0, 1, 2], vec![2, 0, 1], vec![1, 2]].into_iter().enumerate() {
            let mut free: Vec<Option<&mut Session>> = sessions.iter_mut().map(Some).collect();
            let mut batch: Vec<Feed> = order
                .iter()
                .map(|i| Feed { session: free[*i].take().unwrap(), tokens: &more[*i][step..step + 1] })
                .collect();
            let logits = model.forward_batch(&mut batch, Forward::LAST).unwrap().to_f64();
            for (got, i) in logits.chunks_exact(512).zip(&order) {
                assert_eq!(got, row(*i, prompts[*i].len() + step), "sequence {i}, step {step}");
            }
        }
        assert_eq!(sessions.each_ref().map(Session::len), [42, 12, 10]);
    }
}

#[test]
fn a_seat_is_given_back() {
    let model = single(Layout::Hf, &F32);
    let mut sessions: Vec<Session> = (0..3).map(|_| model.session().unwrap()).collect();
    let words = model.session().err().unwrap().to_string();
    assert!(words.contains("holds 3 at a time"), "{words}");
    sessions.pop();
    assert!(model.session().is_ok());
}

/// What is recorded: under every promised name, and forcing the experts that the router chose changes nothing.
#[test]
fn records_and_forced_routing() {
    let ids = tokens("len40.tokens");
    let mut model = oracle(Layout::Hf, &F64);
    let mut seen: BTreeMap<String, HostTensor> = BTreeMap::new();
    let mut record = |name: &str, tensor: HostTensor| drop(seen.insert(name.to_string(), tensor));
    let forward = Forward { logits: Logits::All, routing: None, record: Some(&mut record) };
    let free = model.forward(&mut model.session().unwrap(), &ids, forward).unwrap().to_f64();
    let mut names = vec!["embed".to_string(), "final_norm".to_string()];
    for n in 0..4 {
        names.extend(
            ["post_attn", "out", "router_logits", "topk_idx", "topk_weight"].map(|part| format!("layer{n}.{part}")),
        );
    }
    names.sort();
    assert!(seen.keys().eq(&names), "{:?}", seen.keys());

    let chosen: Vec<i32> = (0..4).flat_map(|n| seen[&format!("layer{n}.topk_idx")].to_i32().unwrap()).collect();
    let force = |routing: &[i32], max_chunk| {
        let mut model = oracle(Layout::Hf, &Options { max_chunk, ..F64 });
        let forward = Forward { logits: Logits::All, routing: Some(routing), record: None };
        model.forward(&mut model.session().unwrap(), &ids, forward).unwrap().to_f64()
    };
    for max_chunk in [256, 7] {
        let off = crate::common::distance(&force(&chosen, max_chunk), &free);
        assert!(off < 1e-12, "chunks of {max_chunk}: off by {off}");
    }
    let others: Vec<i32> = chosen.iter().map(|e| (e + 1) % 8).collect();
    assert!(crate::common::distance(&force(&others, 256), &free) > 0.1);
}
