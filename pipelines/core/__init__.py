"""What every system shares: types, errors, device choice, checkpoints, training loop, metrics."""
