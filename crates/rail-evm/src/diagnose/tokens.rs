//! What the configured tokens say of themselves, beside what we sign for them.

use farebox_core::diagnosis::{TokenDomain, TokenFacts, TokenSaid};
use farebox_wire::evm::{EvmAddress, Word};

use super::within;
use crate::abi::{self, DECIMALS, DOMAIN_SEPARATOR, NAME, VERSION};
use crate::assets::TransferMethod;
use crate::check::read_bool;
use crate::digest::domain_separator;
use crate::network::{Chain, Token};
use crate::rpc::{Call, Data, Found, Rpc, RpcError, decode};

/// Bytes of a name that are shown; EIP-712 names are a word or three.
const TEXT_BYTES_MAX: usize = 64;
/// Questions about one token.
const QUESTIONS: usize = 6;

/// Asks every token that is moved by authorizations, all in one request.
pub(super) async fn look(rpc: &Rpc, chain: &Chain) -> Result<Vec<TokenFacts>, RpcError> {
    let tokens: Vec<&Token> = chain
        .tokens()
        .filter(|token| token.asset.method == TransferMethod::Eip3009)
        .collect();
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let calls: Vec<Call> = tokens.iter().flat_map(|token| questions(token)).collect();
    let answers = within(rpc, &calls).await?;
    let facts = tokens
        .iter()
        .zip(answers.chunks(QUESTIONS))
        .map(|(token, answers)| facts(chain, token, answers));
    facts.collect()
}

fn questions(token: &Token) -> [Call; QUESTIONS] {
    let address = token.asset.address;
    let view = |data: &[u8]| Call::view(address, data, "latest");
    let unused = abi::authorization_state(EvmAddress::ZERO, Word([0; 32]));
    [
        Call::code(address, "latest"),
        view(&NAME),
        view(&VERSION),
        view(&DECIMALS),
        view(&DOMAIN_SEPARATOR),
        view(&unused),
    ]
}

fn facts(chain: &Chain, token: &Token, answers: &[Found]) -> Result<TokenFacts, RpcError> {
    let asset = &token.asset;
    let [code, name, version, decimals, domain, unused] = answers else {
        return Err(RpcError::garbage("answers are missing"));
    };
    let Data(code) = decode(code.clone()?)?;
    let said = (!code.is_empty()).then(|| {
        let (name, version) = (text(name), text(version));
        let domain = bytes(domain).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let own = name
            .as_ref()
            .zip(version.as_ref())
            .map(|(name, version)| domain_separator(name, version, chain.number, asset.address).0);
        TokenSaid {
            decimals: bytes(decimals).and_then(|word| abi::word_number(&word)),
            domain_fits: domain.map(|domain| domain == token.domain.0),
            own_words_fit: domain.is_some() && domain == own,
            has_authorizations: bytes(unused).is_some_and(|word| read_bool(&word).is_ok()),
            name,
            version,
        }
    });
    Ok(TokenFacts {
        token: format!("{} {}", asset.symbol, token.checksummed),
        configured: TokenDomain {
            name: asset.name.clone(),
            version: asset.version.clone(),
            decimals: asset.decimals,
        },
        said,
    })
}

/// What a view returned; `None` where the contract does not know it.
fn bytes(answer: &Found) -> Option<Vec<u8>> {
    let Data(bytes) = decode(answer.clone().ok()?).ok()?;
    Some(bytes)
}

fn text(answer: &Found) -> Option<String> {
    abi::read_string(&bytes(answer)?, TEXT_BYTES_MAX)
}
