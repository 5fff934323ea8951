//! The room seen from outside: every layout, every fault, the hub, derived weights.
#![allow(clippy::unwrap_used)] // a test that cannot go on stops

mod cache;
mod hostile;
mod hub;
mod hub_server;
mod huggingface;
mod make;
mod nemo;
