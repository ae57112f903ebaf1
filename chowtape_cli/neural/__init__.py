"""State transition networks: banks of weights, and their training."""
