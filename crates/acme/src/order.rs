//! One order: an account, the directory's questions and our answers, a key, a certificate.
//!
//! Called by the keeper, which holds the turn of the folder. It leaves no answer behind, however it
//! ends, and every key that it makes stays in memory until the certificate is there.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeHandle,
    ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::fault::AcmeError;
use crate::keeper::now_s;
use crate::plan::{Challenge, Plan};
use crate::schedule::Window;
use crate::store::{KnownAs, Store};
use crate::transport::Transport;

/// How often the directory is asked whether it has decided, and for how long.
const ASKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));
/// Bytes of a token; the protocol asks for 22 at least.
const TOKEN_BYTES_MAX: usize = 256;

/// Everything that an order needs.
#[derive(Clone)]
pub(crate) struct Clerk {
    pub(crate) plan: Plan,
    pub(crate) store: Store,
    pub(crate) transport: Transport,
}

impl Clerk {
    /// Orders a certificate in place of `old`, and gives its key and chain, in PEM.
    ///
    /// # Errors
    /// [`AcmeError`]: nothing has changed.
    pub(crate) async fn order(
        &self,
        old: Option<&Bundle>,
    ) -> Result<(Bundle, Zeroizing<Vec<u8>>), AcmeError> {
        self.in_store(|store| store.clear_answers()).await?;
        let ordered = self.ordered(old).await;
        // What is left over answers nothing any more.
        let cleared = self.in_store(|store| store.clear_answers()).await;
        let pem = ordered?;
        cleared?;
        let bundle = Bundle::read(&pem, self.plan.domains())?;
        if bundle.life.not_after_s <= now_s() {
            let why = "it has ended already; look at the clock of this machine";
            return Err(AcmeError::Unusable(why.to_owned()));
        }
        Ok((bundle, pem))
    }

    /// When the directory would like `bundle` to be renewed, and in how many seconds to ask
    /// again; `None` where it does not say.
    pub(crate) async fn suggestion(
        &self,
        bundle: &Bundle,
    ) -> Result<Option<(Window, u64)>, AcmeError> {
        let Some(known) = self.in_store(|store| store.account()).await? else {
            return Ok(None);
        };
        let account = Account::builder_with_http(Box::new(self.transport.clone()))
            .from_credentials(known.credentials)
            .await;
        let account = account.map_err(|why| self.fault(why))?;
        // One without the number of its authority's key cannot be asked about.
        let Ok(id) = CertificateIdentifier::try_from(&bundle.leaf) else {
            return Ok(None);
        };
        let (info, again) = match account.renewal_info(&id).await {
            Ok(info) => info,
            Err(Error::Unsupported(_)) => return Ok(None),
            Err(why) => return Err(self.fault(why)),
        };
        let seconds = |moment: i64| u64::try_from(moment).unwrap_or_default();
        let window = Window {
            start_s: seconds(info.suggested_window.start.unix_timestamp()),
            end_s: seconds(info.suggested_window.end.unix_timestamp()),
        };
        Ok(Some((window, again.as_secs())))
    }

    async fn ordered(&self, old: Option<&Bundle>) -> Result<Zeroizing<Vec<u8>>, AcmeError> {
        let account = self.account().await?;
        let mut order = self.begin(&account, old).await?;
        self.answer_all(&mut order).await?;
        let decided = order.poll_ready(&ASKING).await;
        if !matches!(decided, Ok(OrderStatus::Ready)) {
            return Err(self.why_not(&mut order, decided).await);
        }
        let finalized = order.finalize().await.map(Zeroizing::new);
        let mut pem = finalized.map_err(|why| self.fault(why))?;
        let chain = order.poll_certificate(&ASKING).await;
        pem.push_str(&chain.map_err(|why| self.fault(why))?);
        Ok(Zeroizing::new(pem.as_bytes().to_vec()))
    }

    /// The account of this folder, made where there is none or where the directory has forgotten it.
    async fn account(&self) -> Result<Account, AcmeError> {
        let contact = self.plan.contact();
        let builder = || Account::builder_with_http(Box::new(self.transport.clone()));
        if let Some(mut known) = self.in_store(|store| store.account()).await? {
            let was_told = known
                .contact
                .iter()
                .map(String::as_str)
                .eq(contact.iter().copied());
            let copy = serde_json::to_value(&known.credentials)
                .and_then(serde_json::from_value)
                .map_err(|why| AcmeError::Machine(why.to_string()))?;
            let account = builder().from_credentials(copy).await;
            let account = account.map_err(|why| self.fault(why))?;
            if was_told {
                return Ok(account);
            }
            match account.update_contacts(&contact).await {
                Ok(()) => {
                    known.contact = contact.into_iter().map(str::to_owned).collect();
                    self.in_store(move |store| store.keep_account(&known))
                        .await?;
                    return Ok(account);
                }
                Err(why) if AcmeError::is_unknown_account(&why) => {}
                Err(why) => return Err(self.fault(why)),
            }
        }
        self.new_account().await
    }

    async fn new_account(&self) -> Result<Account, AcmeError> {
        let contact = self.plan.contact();
        let asked = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = Account::builder_with_http(Box::new(self.transport.clone()))
            .create(&asked, self.plan.directory().to_owned(), None)
            .await;
        let (account, credentials) = made.map_err(|why| self.fault(why))?;
        let known = KnownAs {
            contact: contact.into_iter().map(str::to_owned).collect(),
            credentials,
        };
        self.in_store(move |store| store.keep_account(&known))
            .await?;
        tracing::info!(
            account = account.id(),
            "made an account at the certificate authority"
        );
        Ok(account)
    }

    /// Places the order. What the directory has forgotten is told anew, once.
    async fn begin(&self, account: &Account, old: Option<&Bundle>) -> Result<Order, AcmeError> {
        let names: Vec<Identifier> = self
            .plan
            .domains()
            .iter()
            .cloned()
            .map(Identifier::Dns)
            .collect();
        let plain = NewOrder::new(&names);
        let id = old.and_then(|old| CertificateIdentifier::try_from(&old.leaf).ok());
        let placed = match id {
            None => account.new_order(&plain).await,
            Some(id) => match account.new_order(&NewOrder::new(&names).replaces(id)).await {
                // It says nothing about renewals, or knows of another one.
                Err(Error::Unsupported(_)) => account.new_order(&plain).await,
                Err(why) if AcmeError::is_replaced_already(&why) => account.new_order(&plain).await,
                placed => placed,
            },
        };
        match placed {
            Err(why) if AcmeError::is_unknown_account(&why) => {
                let account = self.new_account().await?;
                let placed = account.new_order(&plain).await;
                placed.map_err(|why| self.fault(why))
            }
            placed => placed.map_err(|why| self.fault(why)),
        }
    }

    async fn answer_all(&self, order: &mut Order) -> Result<(), AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|why| self.fault(why))?;
            // Proven not long ago.
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let domain = authorization.identifier().to_string();
            let wanted = match self.plan.challenge() {
                Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
                Challenge::Http01 => ChallengeType::Http01,
            };
            let Some(mut challenge) = authorization.challenge(wanted) else {
                return Err(AcmeError::NotOffered {
                    directory: self.plan.directory().to_owned(),
                    wanted: self.plan.challenge().name(),
                    domain,
                });
            };
            self.answer(&challenge, domain).await?;
            challenge.set_ready().await.map_err(|why| self.fault(why))?;
        }
        Ok(())
    }

    async fn answer(
        &self,
        challenge: &ChallengeHandle<'_>,
        domain: String,
    ) -> Result<(), AcmeError> {
        let key_authorization = challenge.key_authorization();
        match self.plan.challenge() {
            Challenge::TlsAlpn01 => {
                let answer = question_certificate(&domain, key_authorization.digest().as_ref())
                    .map_err(|why| AcmeError::Machine(why.to_string()))?;
                self.in_store(move |store| store.answer(&domain, &answer))
                    .await
            }
            Challenge::Http01 => {
                let token = challenge.token.clone();
                if !is_token(&token) {
                    return Err(AcmeError::Strange {
                        directory: self.plan.directory().to_owned(),
                        why: "the token of its question is none".to_owned(),
                    });
                }
                let answer = key_authorization.as_str().as_bytes().to_vec();
                self.in_store(move |store| store.answer(&token, &answer))
                    .await
            }
        }
    }

    /// Why an order did not become ready: what was wrong with an answer, if anything was.
    async fn why_not(&self, order: &mut Order, decided: Result<OrderStatus, Error>) -> AcmeError {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() {
                break;
            }
            if let Some(fault) = self.fault_of(&authorization) {
                return fault;
            }
        }
        match decided {
            Err(why) => self.fault(why),
            Ok(status) => AcmeError::Strange {
                directory: self.plan.directory().to_owned(),
                why: format!("the order is {status:?} and nothing says why"),
            },
        }
    }

    fn fault_of(&self, authorization: &AuthorizationHandle<'_>) -> Option<AcmeError> {
        let problems = authorization.challenges.iter();
        let problem = problems
            .filter_map(|challenge| challenge.error.clone())
            .next();
        problem.map(|mut problem| {
            let detail = problem.detail.take().unwrap_or_default();
            problem.detail = Some(format!("{}: {detail}", authorization.identifier()));
            AcmeError::refused(self.plan.directory(), self.plan.challenge(), &problem)
        })
    }

    fn fault(&self, why: Error) -> AcmeError {
        AcmeError::of(self.plan.directory(), self.plan.challenge(), why)
    }

    /// Reads or writes files on a thread that may wait.
    pub(crate) async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, AcmeError> + Send + 'static,
    ) -> Result<T, AcmeError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|why| AcmeError::Machine(why.to_string()))?
    }
}

/// What answers a handshake: a certificate for the name that says `digest`, and its key, in PEM.
fn question_certificate(domain: &str, digest: &[u8]) -> Result<Zeroizing<Vec<u8>>, rcgen::Error> {
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let mut pem = Zeroizing::new(key.serialize_pem());
    pem.push_str(&certificate.pem());
    Ok(Zeroizing::new(pem.as_bytes().to_vec()))
}

/// Whether a token is one (RFC 8555 §8.3), so that it can be a file's name.
fn is_token(token: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && token.bytes().all(is_plain)
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
