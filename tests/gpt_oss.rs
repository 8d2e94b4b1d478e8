//! The model end to end: golden logits and continuations, the KV cache, files written and read back.
#![cfg(feature = "testing")]

#[path = "gpt_oss/cache.rs"]
mod cache;
#[path = "gpt_oss/chat.rs"]
mod chat;
#[path = "gpt_oss/common.rs"]
mod common;
#[path = "gpt_oss/f8e4m3.rs"]
mod f8e4m3;
#[path = "gpt_oss/files.rs"]
mod files;
#[path = "gpt_oss/golden.rs"]
mod golden;
#[path = "gpt_oss/tokenizer.rs"]
mod tokenizer;
