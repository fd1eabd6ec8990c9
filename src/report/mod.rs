//! Renders a judged run.
