//! What size costs: verifications and settlements per second, memory and file size of a facilitator whose ledger
//! has 100 to 1,000,000 payments by as many payers.
use crate::{Fallible, Options};
pub(crate) fn run(_options: &Options) -> Fallible<()> { Err("not yet".into()) }
