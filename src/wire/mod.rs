//! Framing of PostgreSQL, without I/O.
