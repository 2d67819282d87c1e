"""The experiments behind the tables of `results/`: benchmarks of samplers and of speed, and counts of modes."""
