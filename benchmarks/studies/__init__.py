"""Studies of what an algorithm reaches and where it ends: ``python -m benchmarks.studies --help``.

``STUDIES`` maps a study to its module, whose ``study(options)`` returns tables and figures
(`benchmarks.studies._tables`). A study is of accuracy, not of speed: its figures do not depend on the load of
the machine, and with the same versions come out the same.
"""

STUDIES = {
    "ptychography-refinement": "benchmarks.studies.ptychography_refinement",
    "ptychography-ring": "benchmarks.studies.ptychography_ring",
    "ptychography-siemens": "benchmarks.studies.ptychography_siemens",
    "ptychography-batches": "benchmarks.studies.ptychography_batches",
}
