//! Keys, budgets and the one function that spends.
