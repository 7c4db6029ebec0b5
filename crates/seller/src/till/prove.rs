//! Whether a credential is worth a seat: what only the chain can tell of its signature.
//!
//! Called before anything is kept for a credential. Otherwise junk under somebody's public nonce
//! would keep the real credential out for as long as the chain is asked.

use farebox_core::rail::{CollectRail, Examined, SignatureCheck};

use super::{NotClaimed, Till};

impl Till {
    /// Makes sure that the payer has made this credential. Writes nothing, and asks the chain only
    /// where no key tells and the books do not know these very bytes: what they claimed was proven
    /// then, and the chain, where the authorization is used by now, would not say so again.
    ///
    /// # Errors
    /// The rail refuses the credential or cannot be asked, or the books cannot be read.
    pub async fn prove(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
    ) -> Result<(), NotClaimed> {
        match examined.signature {
            SignatureCheck::Good => return Ok(()),
            SignatureCheck::AskChain => {}
        }
        let known = self.earlier(&examined.identity).await;
        let is_known = known
            .map_err(NotClaimed::Ledger)?
            .and_then(|payment| payment.seller)
            .is_some_and(|side| side.payload_digest == examined.payload_digest);
        if is_known {
            return Ok(());
        }
        let verified = rail.verify(examined).await;
        verified.map(drop).map_err(NotClaimed::Refused)
    }
}
