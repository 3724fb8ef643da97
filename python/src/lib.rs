//! The Python package aiondb: the embedded database, Arrow in and out.
