//! What a client of a face needs to trust it and to be let in: a certificate of its own, and a macaroon.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names that the certificate is good for.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// A new certificate for this machine: what the server needs, and the PEM that clients trust.
pub(crate) fn certificate() -> Result<(Arc<ServerConfig>, String), String> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(|error| error.to_string())?;
    Ok((Arc::new(config), made.cert.pem()))
}

/// A random macaroon in hexadecimal: version 2, location `lnd`, an identifier and a signature, as LND's look. It is
/// compared as a whole.
pub(crate) fn macaroon() -> Result<String, String> {
    let mut random = [0u8; 64];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let (identifier, signature) = random.split_at(32);
    let mut bytes = vec![2, 1, 3];
    bytes.extend_from_slice(b"lnd");
    bytes.extend_from_slice(&[2, 32]);
    bytes.extend_from_slice(identifier);
    bytes.extend_from_slice(&[0, 0, 6, 32]);
    bytes.extend_from_slice(signature);
    Ok(hex::encode(bytes))
}
