"""Benchmarks: figures about the running server, measured from outside of it. See README.md."""
