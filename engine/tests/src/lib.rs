//! No code: the tests are in `main.rs`, one binary, because each binary that links the engine costs a link of its own.
