//! The rules of selling, over a real ledger and a rail that does as it is told.

mod challenge;
mod client_limits;
mod collect;
mod counting;
mod delivery;
mod failures;
mod http_rules;
mod l402_books;
mod l402_challenges;
mod l402_known;
mod l402_tokens;
mod one_at_a_time;
mod pages;
mod proof;
mod recovery;
mod reloading;
mod repeats;
mod support;
mod version_1;
mod wallets;
