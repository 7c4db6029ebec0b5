//! What these tests take from the list that every rail keeps.

pub(crate) use farebox_core::conformance::{
    Recorder, SignedNet as Fixture, WAIT_MS, signed, transaction,
};
