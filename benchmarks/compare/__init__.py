"""Comparison of fastimg with the peers that are installed: ``python -m benchmarks.compare --help``.

``SYSTEMS`` maps a system to its module, whose ``compare(options)`` returns rows (`benchmarks.compare._rows`).
"""

SYSTEMS = {
    "registration": "benchmarks.compare.registration",
    "ptychography": "benchmarks.compare.ptychography",
    "dequantization": "benchmarks.compare.dequantization",
    "fusion": "benchmarks.compare.fusion",
}
