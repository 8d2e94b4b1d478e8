//! Damaged, lying and absurd input: an error in words that name the place, never a panic.
#![cfg(feature = "testing")]

#[path = "malformed/common.rs"]
mod common;
#[path = "malformed/configs.rs"]
mod configs;
#[path = "malformed/files.rs"]
mod files;
#[path = "malformed/fuzz.rs"]
mod fuzz;
#[path = "malformed/requests.rs"]
mod requests;
