//! Strict JSON, for the readers of this crate.
//!
//! An object must be an object (serde would read a struct from an array as well), must not say a
//! key twice (two readers would see two payments), and an error never carries more than a line of
//! the peer's text. Nesting is bounded by `serde_json` itself at 128 levels.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Characters of an error that are kept: a line for a log, whatever a peer sent.
pub(crate) const ERROR_CHARS_MAX: usize = 200;

/// A `T` that stood there as a JSON object.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Any JSON in which no object says a key twice.
#[derive(Debug)]
pub(crate) struct Strict(pub(crate) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("an object says one of its keys twice"));
            }
            let Strict(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Reads a struct that must be a JSON object.
pub(crate) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(body)| body)
}

/// Reads a struct that must be a JSON object, `null` or absent.
pub(crate) fn optional_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(body)| body))
}

/// Reads an open-ended object that stays JSON.
pub(crate) fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    match Strict::deserialize(deserializer)? {
        Strict(object @ Value::Object(_)) => Ok(object),
        Strict(_) => Err(D::Error::custom("it must be a JSON object")),
    }
}

/// Reads an open-ended object that may be `null` or absent.
pub(crate) fn optional_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    match Strict::deserialize(deserializer)? {
        Strict(Value::Null) => Ok(None),
        Strict(Value::Object(object)) => Ok(Some(object)),
        Strict(_) => Err(D::Error::custom("it must be a JSON object or null")),
    }
}

/// Reads any JSON that may be `null` or absent.
pub(crate) fn optional_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    let Strict(value) = Strict::deserialize(deserializer)?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// Reads a list whose entries stay JSON.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    let items = Vec::<Strict>::deserialize(deserializer)?;
    Ok(items.into_iter().map(|Strict(item)| item).collect())
}

/// The number in plain digits: one text for `60`, `60.0` and `6e1`, as JavaScript sees them.
pub(crate) fn plain_digits(number: &Number) -> String {
    // Rust prints a float without exponent and without a trailing `.0`.
    match number.as_f64() {
        Some(float) if number.is_f64() => match float.to_string() {
            zero if zero == "-0" => "0".to_owned(),
            text => text,
        },
        _ => number.to_string(),
    }
}

/// The same error in at most [`ERROR_CHARS_MAX`] characters.
pub(crate) fn brief(error: serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => {
            let start = text.get(..end).unwrap_or_default();
            Error::custom(format_args!("{start}…"))
        }
        None => error,
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
