//! What tests of a backend need: cases, comparison, golden vectors.
