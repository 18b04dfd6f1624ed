"""The building page in parts: state, asking, forms, stage, results, passport. Like its siblings it computes nothing."""
