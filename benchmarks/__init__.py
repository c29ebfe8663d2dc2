"""Benchmarks: every claim about speed, side by side with its peer."""
