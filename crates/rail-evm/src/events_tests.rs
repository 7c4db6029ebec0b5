//! The logs that prove a payment, and those that do not.


