"""Amortized guides, one file each."""
