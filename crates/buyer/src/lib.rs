//! The HTTP 402 loop as a client library: ask, choose, pay within limits, repeat, keep the receipt.
