//! Reference servers on PostgreSQL.
