//! Settlement on a real chain: nonces, receipts, reverts.


