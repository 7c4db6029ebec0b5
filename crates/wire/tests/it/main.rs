//! The wire against vectors that any language can run, against algebra, and against damage.

mod bodies;
mod damage;
mod golden;
mod l402;
mod l402_properties;
mod l402_readers;
mod mutation;
mod properties;
mod vectors;
mod version_1;
