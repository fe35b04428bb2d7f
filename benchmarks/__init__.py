"""Benchmarks of fastimg: asv files, one a system, and comparisons with peers (``benchmarks.compare``)."""
