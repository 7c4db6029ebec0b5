//! What became of a payment, asked of a real chain.


