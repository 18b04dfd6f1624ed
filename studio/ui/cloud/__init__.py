"""The cloud page in parts: state, asking, forms, stage, results, receipt. Like its siblings it computes nothing."""
