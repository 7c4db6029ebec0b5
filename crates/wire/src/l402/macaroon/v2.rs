//! The binary form of version 2: the one that we write.
//!
//! `02`, a header of fields, a section of fields for each caveat, an empty section, the signature.
//! A field is a tag, a length and bytes; the tags of a section ascend; `00` ends it. Strict: what
//! could be read in two ways is refused, and nothing may follow.

use super::{Caveat, Macaroon, MacaroonError};

/// The first byte.
const VERSION: u8 = 2;
const END: u64 = 0;
const LOCATION: u64 = 1;
const IDENTIFIER: u64 = 2;
const VERIFICATION_ID: u64 = 4;
const SIGNATURE: u64 = 6;
/// Bytes of a length: those of 2^31, beyond which no library goes.
const VARINT_BYTES_MAX: u32 = 5;

/// Reads a whole macaroon.
pub(super) fn read(bytes: &[u8]) -> Result<Macaroon, MacaroonError> {
    let mut reader = Reader {
        rest: bytes.get(1..).unwrap_or_default(),
    };
    let header = reader.section()?;
    if !header.verification_id.is_empty() {
        return Err(MacaroonError::Field);
    }
    let mut macaroon = Macaroon {
        location: header.location.to_vec(),
        identifier: header.identifier.ok_or(MacaroonError::Field)?.to_vec(),
        caveats: Vec::new(),
        signature: [0; 32],
    };
    loop {
        let section = reader.section()?;
        let Some(id) = section.identifier else {
            if section.is_empty {
                break;
            }
            return Err(MacaroonError::Field);
        };
        macaroon.push(Caveat::new(
            id.to_vec(),
            section.verification_id.to_vec(),
            section.location.to_vec(),
        )?)?;
    }
    let (tag, signature) = reader.field()?.ok_or(MacaroonError::Field)?;
    if tag != SIGNATURE {
        return Err(MacaroonError::Field);
    }
    macaroon.signature = signature.try_into().map_err(|_| MacaroonError::Signature)?;
    if !reader.rest.is_empty() {
        return Err(MacaroonError::Trailing);
    }
    Ok(macaroon)
}

/// Writes a whole macaroon.
pub(super) fn write(macaroon: &Macaroon) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(macaroon));
    bytes.push(VERSION);
    write_optional(&mut bytes, LOCATION, &macaroon.location);
    write_field(&mut bytes, IDENTIFIER, &macaroon.identifier);
    write_varint(&mut bytes, END);
    for caveat in &macaroon.caveats {
        if let Some(party) = &caveat.third_party {
            write_optional(&mut bytes, LOCATION, &party.location);
        }
        write_field(&mut bytes, IDENTIFIER, &caveat.id);
        if let Some(party) = &caveat.third_party {
            write_field(&mut bytes, VERIFICATION_ID, &party.verification_id);
        }
        write_varint(&mut bytes, END);
    }
    write_varint(&mut bytes, END);
    write_field(&mut bytes, SIGNATURE, &macaroon.signature);
    bytes
}

/// Bytes that writing takes, at most a few too many.
pub(super) fn size(macaroon: &Macaroon) -> usize {
    // A tag and two bytes of length; fields of more than 16,383 bytes are refused anyway.
    const FIELD: usize = 3;
    let field = |bytes: &[u8]| bytes.len().saturating_add(FIELD);
    let caveats = macaroon.caveats.iter().map(|caveat| {
        let party = caveat.third_party.as_ref();
        let party = party.map_or(0, |party| {
            field(&party.location).saturating_add(field(&party.verification_id))
        });
        field(&caveat.id).saturating_add(party).saturating_add(1)
    });
    caveats
        .chain([field(&macaroon.location), field(&macaroon.identifier), 40])
        .fold(0, usize::saturating_add)
}

#[derive(Default)]
struct Section<'a> {
    location: &'a [u8],
    identifier: Option<&'a [u8]>,
    verification_id: &'a [u8],
    is_empty: bool,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn section(&mut self) -> Result<Section<'a>, MacaroonError> {
        let mut section = Section {
            is_empty: true,
            ..Section::default()
        };
        let mut before = END;
        while let Some((tag, bytes)) = self.field()? {
            if tag <= before {
                return Err(MacaroonError::Order);
            }
            before = tag;
            section.is_empty = false;
            match tag {
                LOCATION => section.location = bytes,
                IDENTIFIER => section.identifier = Some(bytes),
                VERIFICATION_ID => section.verification_id = bytes,
                _ => return Err(MacaroonError::Field),
            }
        }
        Ok(section)
    }

    /// A tag and what it is the tag of; `None` at the end of a section.
    fn field(&mut self) -> Result<Option<(u64, &'a [u8])>, MacaroonError> {
        let tag = self.varint()?;
        if tag == END {
            return Ok(None);
        }
        let length = usize::try_from(self.varint()?).map_err(|_| MacaroonError::Length)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(MacaroonError::Length)?;
        self.rest = rest;
        Ok(Some((tag, bytes)))
    }

    /// Unsigned LEB128, in as few bytes as the number needs.
    fn varint(&mut self) -> Result<u64, MacaroonError> {
        let mut value = 0;
        for place in 0..VARINT_BYTES_MAX {
            let (byte, rest) = self.rest.split_first().ok_or(MacaroonError::Length)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (place * 7);
            if byte & 0x80 == 0 {
                let is_shortest = place == 0 || *byte != 0;
                return is_shortest.then_some(value).ok_or(MacaroonError::Length);
            }
        }
        Err(MacaroonError::Length)
    }
}

fn write_optional(into: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        write_field(into, tag, bytes);
    }
}

fn write_field(into: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    write_varint(into, tag);
    write_varint(into, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    into.extend_from_slice(bytes);
}

fn write_varint(into: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}
