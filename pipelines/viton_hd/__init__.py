"""Image try-on after VITON-HD: segmentation, warping, alignment-aware synthesis."""
