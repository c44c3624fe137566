"""Benchmarks, the comparison of guarantees, and the soak; see README.md."""
