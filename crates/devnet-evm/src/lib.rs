//! A real local EVM chain in this process, for tests and demonstrations.
