"""What makes the tables of `results/`: benchmarks of samplers and of speed, counts of modes, a critic that is known."""
