//! Writes the text form of Prometheus, version 0.0.4: families of samples with labels.
//!
//! Only as much of it as [`super::metrics`] needs. Numbers are whole or, for times, exact decimal
//! fractions of microseconds: nothing is rounded here.

use std::fmt::{Display, Write as _};

use farebox_seller::counts::{BOUNDS_US, Observed};

/// What a family is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Names and values; the names are ours, the values may be anything.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

/// A page that is being written.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        self.write(format_args!(" {value}\n"));
    }

    /// All samples of one histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, observed: &Observed) {
        for (bound, at_most) in BOUNDS_US.iter().zip(&observed.at_most) {
            self.bucket(name, labels, &seconds(*bound), *at_most);
        }
        self.bucket(name, labels, "+Inf", observed.count);
        let sum = seconds(observed.sum_us);
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, observed.count);
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn bucket(&mut self, name: &str, labels: Labels<'_>, bound: &str, at_most: u64) {
        self.write(format_args!("{name}_bucket"));
        self.labels(labels, Some(("le", bound)));
        self.write(format_args!(" {at_most}\n"));
    }

    fn labels(&mut self, labels: Labels<'_>, last: Option<(&'static str, &str)>) {
        let mut between = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            self.write(format_args!("{between}{name}=\""));
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
            between = ',';
        }
        if between == ',' {
            self.0.push('}');
        }
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(what);
    }
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
