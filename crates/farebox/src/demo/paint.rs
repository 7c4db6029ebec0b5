//! Colour for the demonstration, on a terminal only.

use crate::output;

/// Paints text, or not.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// Colour where stdout is a terminal and nobody has set `NO_COLOR`.
    pub(super) fn for_stdout() -> Self {
        Self {
            on: output::is_coloured(&std::io::stdout()),
        }
    }

    /// What matters.
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What holds.
    pub(super) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What does not.
    pub(super) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// What may be skipped.
    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
