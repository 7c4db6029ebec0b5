//! Reads the two JSON forms, told apart by the names of their fields. We never write them.

use serde_json::{Map, Value};

use super::{Caveat, Macaroon, MacaroonError, decode_base64};
use crate::json::Strict;

/// Reads a whole macaroon.
pub(super) fn read(bytes: &[u8]) -> Result<Macaroon, MacaroonError> {
    let Ok(Strict(Value::Object(body))) = serde_json::from_slice(bytes) else {
        return Err(MacaroonError::Json);
    };
    let has = |names: &[&str]| names.iter().any(|name| body.contains_key(*name));
    let is_v1 = has(&["identifier", "signature", "caveats", "location"]);
    let is_v2 = has(&["i", "i64", "s", "s64", "c", "l", "v"]);
    match (is_v1, is_v2) {
        (true, false) => read_v1(&body),
        (false, true) => read_v2(&body),
        _ => Err(MacaroonError::Json),
    }
}

/// `location`, `identifier`, `caveats` of `cid`, `vid`, `cl`, and `signature` in hex.
fn read_v1(body: &Map<String, Value>) -> Result<Macaroon, MacaroonError> {
    let signature = text(body, "signature")?.ok_or(MacaroonError::Signature)?;
    let mut macaroon = Macaroon {
        location: bytes(text(body, "location")?),
        identifier: bytes(text(body, "identifier")?),
        caveats: Vec::new(),
        signature: signature_of(hex::decode(signature).map_err(|_| MacaroonError::Hex)?)?,
    };
    for caveat in caveats(body, "caveats")? {
        let verification_id = text(caveat, "vid")?.map(decode_base64).transpose()?;
        macaroon.push(Caveat::new(
            bytes(text(caveat, "cid")?),
            verification_id.unwrap_or_default(),
            bytes(text(caveat, "cl")?),
        )?)?;
    }
    Ok(macaroon)
}

/// `l`, `i`, `c` of `i`, `v`, `l`, and `s`; a field whose bytes are no text has `64` in its name.
fn read_v2(body: &Map<String, Value>) -> Result<Macaroon, MacaroonError> {
    if body.get("v").is_some_and(|version| version != 2) {
        return Err(MacaroonError::Json);
    }
    let mut macaroon = Macaroon {
        location: bytes(text(body, "l")?),
        identifier: field(body, "i", "i64")?,
        caveats: Vec::new(),
        signature: signature_of(field(body, "s", "s64")?)?,
    };
    for caveat in caveats(body, "c")? {
        macaroon.push(Caveat::new(
            field(caveat, "i", "i64")?,
            field(caveat, "v", "v64")?,
            bytes(text(caveat, "l")?),
        )?)?;
    }
    Ok(macaroon)
}

fn caveats<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<impl Iterator<Item = &'a Map<String, Value>>, MacaroonError> {
    let list: &[Value] = match body.get(name) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(list)) if list.iter().all(Value::is_object) => list,
        Some(_) => return Err(MacaroonError::Json),
    };
    Ok(list.iter().filter_map(Value::as_object))
}

/// Bytes that stand there as text or as base64; both are refused, neither is empty.
fn field(body: &Map<String, Value>, plain: &str, base64: &str) -> Result<Vec<u8>, MacaroonError> {
    match (text(body, plain)?, text(body, base64)?) {
        (Some(_), Some(_)) => Err(MacaroonError::Json),
        (None, Some(encoded)) => decode_base64(encoded),
        (plain, None) => Ok(bytes(plain)),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, MacaroonError> {
    match body.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(MacaroonError::Json),
    }
}

fn bytes(text: Option<&str>) -> Vec<u8> {
    text.unwrap_or_default().as_bytes().to_vec()
}

fn signature_of(bytes: Vec<u8>) -> Result<[u8; 32], MacaroonError> {
    bytes.try_into().map_err(|_| MacaroonError::Signature)
}
