//! Looks at a facilitator for somebody who wants to know why nothing works.
//!
//! Called by the doctor and by the check before a gate starts. It asks `/supported` and nothing
//! else: nothing that can be settled leaves here.

use std::time::Duration;

use farebox_core::diagnosis::FacilitatorFacts;
use farebox_core::rail::RailError;
use farebox_wire::x402;

use crate::facilitator::{EXACT, Facilitator, NotKnown};
use crate::options::Place;

/// How long one may take, busy answers included.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// What the facilitator at `place` supports; `None` for the local rail.
///
/// # Errors
/// Where no HTTP client can be made.
pub async fn diagnose(place: Place) -> Result<Option<FacilitatorFacts>, RailError> {
    let Place::Remote { url, headers } = place else {
        return Ok(None);
    };
    let facilitator = Facilitator::new(url, headers)?;
    let known = tokio::time::timeout(KNOWN_WITHIN, facilitator.get_to_know()).await;
    let away = |why: String| RailError {
        code: "facilitator_unreachable",
        message: format!("the facilitator at {} is away: {why}", facilitator.host()),
    };
    let networks = match known {
        Ok(Ok(())) => Ok(settles(&facilitator)),
        Ok(Err(NotKnown::Wrong(why))) => Err(why),
        Ok(Err(NotKnown::Away(why))) => Err(away(why)),
        Err(_) => Err(away(format!("nothing within {} s", KNOWN_WITHIN.as_secs()))),
    };
    Ok(Some(FacilitatorFacts {
        host: facilitator.host(),
        networks,
        fee_payers: facilitator.fee_payers(),
    }))
}

fn settles(facilitator: &Facilitator) -> Vec<String> {
    let kinds = facilitator.kinds().unwrap_or_default().into_iter();
    kinds
        .filter(|kind| kind.x402_version == x402::VERSION && kind.scheme == EXACT)
        .map(|kind| kind.network)
        .collect()
}
