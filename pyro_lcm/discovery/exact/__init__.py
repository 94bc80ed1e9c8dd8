"""Exact posteriors over graphs: every DAG counted, one by one or by dynamic programming over sets of variables."""

from pyro_lcm.discovery.exact.posterior import (
    ExactMethod,
    ExactPosterior,
    count_dags,
    exact_draws,
    exact_posterior,
    log_prior_normalizer,
)

__all__ = ["ExactMethod", "ExactPosterior", "count_dags", "exact_draws", "exact_posterior", "log_prior_normalizer"]
