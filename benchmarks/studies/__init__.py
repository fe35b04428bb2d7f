"""Studies of what an algorithm reaches and where it ends: ``python -m benchmarks.studies --help``.

``STUDIES`` maps a study to its module, whose ``study(options)`` returns tables and figures
(`benchmarks.studies._tables`). A study is of accuracy: its figures do not depend on the load of the machine,
and with the same versions come out the same. Only "dequantization-growth" measures times, too, which do not
bind.
"""

STUDIES = {
    "ptychography-refinement": "benchmarks.studies.ptychography_refinement",
    "ptychography-ring": "benchmarks.studies.ptychography_ring",
    "ptychography-siemens": "benchmarks.studies.ptychography_siemens",
    "ptychography-batches": "benchmarks.studies.ptychography_batches",
    "dequantization-table": "benchmarks.studies.dequantization_table",
    "dequantization-growth": "benchmarks.studies.dequantization_growth",
    "dequantization-photographs": "benchmarks.studies.dequantization_photographs",
    "fusion-table": "benchmarks.studies.fusion_table",
    "fusion-parameters": "benchmarks.studies.fusion_parameters",
    "transport-accuracy": "benchmarks.studies.transport_accuracy",
}
