"""The verbs of ``studio``, one module per group. Everything heavy is imported inside the functions."""
