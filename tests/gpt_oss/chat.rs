//! The harmony format: what the model is told, and what is shown of its answer.

use dropless::gpt_oss::{AnswerReader, Effort, Show, Specials, Tokenizer, Turn};
use std::sync::LazyLock;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::harmony);

#[test]
fn a_turn_reads_as_the_format_says() {
    let turn =
        Turn { instructions: Some("Be brief."), user: "Hi 😀", effort: Effort::High, date: Some("2025-08-05") };
    let text = "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n\
        Knowledge cutoff: 2024-06\nCurrent date: 2025-08-05\n\nReasoning: high\n\n# Valid channels: analysis, commentary, \
        final. Channel must be included for every message.<|end|><|start|>developer<|message|># Instructions\n\n\
        Be brief.<|end|><|start|>user<|message|>Hi 😀<|end|><|start|>assistant";
    let ids = turn.encode(&TOKENIZER).unwrap();
    assert_eq!(TOKENIZER.decode(&ids), text);
    assert_eq!(ids, TOKENIZER.encode(text, Specials::Parse).unwrap());
    let bare = Turn { user: "x", ..Turn::default() }.encode(&TOKENIZER).unwrap();
    let bare = TOKENIZER.decode(&bare);
    assert!(bare.contains("Reasoning: medium") && !bare.contains("developer") && !bare.contains("Current date"));
}

fn shown(show: Show, answer: &str) -> String {
    let mut reader = AnswerReader::new(&TOKENIZER, show);
    let ids = TOKENIZER.encode(answer, Specials::Parse).unwrap();
    let mut text: String = ids.into_iter().map(|id| reader.push(id)).collect();
    text.push_str(&reader.finish());
    text
}

#[test]
fn channels_of_an_answer() {
    let answer = "<|channel|>analysis<|message|>Simple 日本 sum.<|end|><|start|>assistant<|channel|>commentary \
        to=functions.add <|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>4 😀<|return|>";
    assert_eq!(shown(Show::Final, answer), "4 😀");
    assert_eq!(shown(Show::All, answer), "[analysis]\nSimple 日本 sum.\n[commentary]\n{}\n[final]\n4 😀");
    assert_eq!(shown(Show::Raw, answer), answer);
}

#[test]
fn answers_that_break_off() {
    assert_eq!(shown(Show::Final, "<|channel|>analysis<|message|>hm"), "");
    assert_eq!(shown(Show::Final, "<|channel|>final<|message|>so"), "so");
    assert_eq!(shown(Show::Final, "<|message|>no channel"), "no channel");
    assert_eq!(shown(Show::All, "<|channel|>ana"), "");
    assert_eq!(shown(Show::Final, "no format at all"), "");
    let mut reader = AnswerReader::new(&TOKENIZER, Show::Final);
    let ids = TOKENIZER.encode("<|channel|>final<|message|>👨", Specials::Parse).unwrap();
    let text: String = ids[..ids.len() - 1].iter().map(|id| reader.push(*id)).collect();
    assert_eq!(text + &reader.finish(), "\u{fffd}", "half a character at the end shows as such");
}
