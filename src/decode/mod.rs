//! Bytes to typed columnar rows, or to a dead letter with its reason. Never fails, never panics.
