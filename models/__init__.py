"""Generative programs, one file each."""
