//! Bytes to types and back for HTTP 402 payments: x402, money and identifiers. No I/O, no clock.
