"""`python -m benchmarks`: all workloads, side by side with other servers and clients."""
