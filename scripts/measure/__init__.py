"""Measurements: benchmarks, comparisons and the evaluation of edits."""
