"""Figures and the HTML report, by matplotlib and without pyplot's global state."""
