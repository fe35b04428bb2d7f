"""The asv benchmarks, one file a system; asv imports every module of this folder, and this folder alone."""
