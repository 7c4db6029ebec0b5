//! The gateway: a reverse proxy that charges for what is behind it.
