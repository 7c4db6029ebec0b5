//! A rail's own note about one payment. Rails write and read it, ledgers store its text; it must
//! never be shown, because with a seller's it holds a credential.

use std::any::Any;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::rail::RailError;

/// What a rail needs to find a payment again after a crash; opaque to everyone else, stored as
/// JSON text beside the payment. Two are equal where their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle {
    text: String,
    /// What the text says, for the rail that has written it in this process.
    #[serde(skip)]
    meaning: Option<Arc<dyn Any + Send + Sync>>,
}

impl Handle {
    /// A text as it was stored.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self {
            text,
            meaning: None,
        }
    }

    /// A text that was just written, with what it says, so that it need not be read again.
    #[must_use]
    pub fn written(text: String, meaning: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            text,
            meaning: Some(meaning),
        }
    }

    /// Writes down what a rail means, as JSON.
    ///
    /// # Errors
    /// `handle_unwritable` where it has no JSON.
    pub fn write<T: Any + Send + Sync + Serialize>(meaning: &Arc<T>) -> Result<Self, RailError> {
        serde_json::to_string(meaning.as_ref())
            .map(|text| Self::written(text, meaning.clone()))
            .map_err(|e| RailError {
                code: "handle_unwritable",
                message: format!("the payment cannot be written down: {e}"),
            })
    }

    /// What [`Handle::write`] wrote, from memory where that was this process.
    ///
    /// # Errors
    /// `handle_unreadable` where it says something else.
    pub fn read<T: Any + Send + Sync + DeserializeOwned>(&self) -> Result<Arc<T>, RailError> {
        if let Some(known) = self.meaning() {
            return Ok(known);
        }
        serde_json::from_str(&self.text)
            .map(Arc::new)
            .map_err(|_| RailError {
                code: "handle_unreadable",
                message:
                    "the stored payment is not of this rail or is damaged; run `farebox doctor`"
                        .into(),
            })
    }

    /// As it is stored.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says, where it was written in this process by a rail that means the same type.
    #[must_use]
    pub fn meaning<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.meaning.clone()?.downcast().ok()
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Handle {}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle(..)")
    }
}
