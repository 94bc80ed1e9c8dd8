"""Closed-form estimators of what pairs show: arrays in, arrays out; nothing of modules, phases or training."""
