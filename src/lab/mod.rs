//! What a scenario stands up: the guard, throwaway PostgreSQL clusters, supervised services.

pub mod spec;
