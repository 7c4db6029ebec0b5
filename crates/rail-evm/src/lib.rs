//! Payments in EIP-3009 tokens on EVM chains: sign, verify, settle, check.
