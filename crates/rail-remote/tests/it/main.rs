//! Facilitators that are honest, away, slow and lying, in front of a real chain.

mod failover;
mod honest;
mod lying;
mod solana;
mod start;
mod support;
mod svm;
