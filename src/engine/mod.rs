//! Owns every proxy: the single writer that carries out actions.
