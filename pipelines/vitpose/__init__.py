"""ViTPose: human keypoints with a plain vision transformer (Xu et al., NeurIPS 2022)."""
