"""What measures: benchmarks, comparisons, the evaluation."""
