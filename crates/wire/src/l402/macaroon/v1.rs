//! Reads the form of version 1: packets of four hex digits of length, a name, a blank, bytes and a
//! newline. ngx_l402 and old servers write it; we never do.

use super::{Caveat, Macaroon, MacaroonError};

/// Digits of a packet's length, which counts them too.
const LENGTH_DIGITS: usize = 4;

/// Reads a whole macaroon: location, identifier, caveats, signature.
pub(super) fn read(bytes: &[u8]) -> Result<Macaroon, MacaroonError> {
    let mut rest = bytes;
    let mut macaroon = Macaroon {
        location: expect(&mut rest, b"location")?.to_vec(),
        identifier: expect(&mut rest, b"identifier")?.to_vec(),
        caveats: Vec::new(),
        signature: [0; 32],
    };
    let mut open: Option<Packets> = None;
    loop {
        let (name, data) = packet(&mut rest)?;
        match (name, &mut open) {
            (b"cid", _) => {
                close(open.take(), &mut macaroon)?;
                open = Some(Packets {
                    id: data,
                    ..Packets::default()
                });
            }
            (b"vid", Some(caveat)) => set(&mut caveat.verification_id, data)?,
            (b"cl", Some(caveat)) => set(&mut caveat.location, data)?,
            (b"signature", _) => {
                close(open.take(), &mut macaroon)?;
                macaroon.signature = data.try_into().map_err(|_| MacaroonError::Signature)?;
                break;
            }
            _ => return Err(MacaroonError::Field),
        }
    }
    if !rest.is_empty() {
        return Err(MacaroonError::Trailing);
    }
    Ok(macaroon)
}

/// The packets of one caveat.
#[derive(Default)]
struct Packets<'a> {
    id: &'a [u8],
    verification_id: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
}

fn close(open: Option<Packets<'_>>, macaroon: &mut Macaroon) -> Result<(), MacaroonError> {
    let Some(caveat) = open else {
        return Ok(());
    };
    let bytes = |field: Option<&[u8]>| field.unwrap_or_default().to_vec();
    macaroon.push(Caveat::new(
        caveat.id.to_vec(),
        bytes(caveat.verification_id),
        bytes(caveat.location),
    )?)
}

fn set<'a>(field: &mut Option<&'a [u8]>, data: &'a [u8]) -> Result<(), MacaroonError> {
    match field.replace(data) {
        None => Ok(()),
        Some(_) => Err(MacaroonError::Order),
    }
}

fn expect<'a>(rest: &mut &'a [u8], wanted: &[u8]) -> Result<&'a [u8], MacaroonError> {
    let (name, data) = packet(rest)?;
    if name != wanted {
        return Err(MacaroonError::Field);
    }
    Ok(data)
}

/// The name and the bytes of the next packet.
fn packet<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), MacaroonError> {
    let digits = rest
        .first_chunk::<LENGTH_DIGITS>()
        .ok_or(MacaroonError::Length)?;
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if !digits.iter().all(is_digit) {
        return Err(MacaroonError::Length);
    }
    let digits = str::from_utf8(digits).map_err(|_| MacaroonError::Length)?;
    let length = usize::from_str_radix(digits, 16).map_err(|_| MacaroonError::Length)?;
    let (packet, after) = rest.split_at_checked(length).ok_or(MacaroonError::Length)?;
    let body = packet.get(LENGTH_DIGITS..).ok_or(MacaroonError::Length)?;
    let body = body.strip_suffix(b"\n").ok_or(MacaroonError::Field)?;
    let blank = body
        .iter()
        .position(|b| *b == b' ')
        .ok_or(MacaroonError::Field)?;
    let (name, data) = body.split_at_checked(blank).ok_or(MacaroonError::Field)?;
    *rest = after;
    Ok((name, data.get(1..).unwrap_or_default()))
}
