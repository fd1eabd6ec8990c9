//! The data plane: listeners, workers, pipes.

pub mod pipe;
