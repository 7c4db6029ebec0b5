//! Quote and redeem: the HTTP 402 seller as a tower layer.
