"""From data to a fitted model: what the data look like, what is built for it, how it is trained, kept and saved."""
