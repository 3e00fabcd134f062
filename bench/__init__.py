"""Benchmarks that print ratios: ours and another program, whole processes in turn, in one run."""
