//! Verification against a real chain, cheapest check first.


