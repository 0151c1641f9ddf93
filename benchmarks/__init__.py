"""Benchmarks against peers: same machine, same run, results checked equal."""
