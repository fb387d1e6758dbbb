"""Benchmarks of trio-stt: kernels, session cost, load. See README.md beside this file."""
