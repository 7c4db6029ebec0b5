//! The durable, double-entry record of Farebox on SQLite.
