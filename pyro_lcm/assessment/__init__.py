"""What speaks for a fit: checks without truth, scores against truth, posteriors over its graphs."""
