"""Engines that PyTorch runs."""
