//! The data plane: listeners, workers, pipes.
