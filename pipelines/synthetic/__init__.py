"""Procedural worlds with exact ground truth: nothing in here was photographed, everything is known to the pixel."""
