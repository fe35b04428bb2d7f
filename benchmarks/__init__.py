"""Benchmarks of fastimg: asv files (``suites``), one a system, and comparisons with peers (``compare``)."""
