//! One experiment from set-up to verdict.
