"""How many edges a prior over DAGs expects.

With a factor x for each edge the sum over all DAGs of n variables is A_n(x) (Robinson 1973, with edges: Rodionov, "On
the number of labeled acyclic digraphs", Discrete Mathematics 105, 1992); with q = 1 + x and a_n = A_n / (n! q^(n (n -
1) / 2)),

    a_n = sum over k = 1 ... n of (-1)^(k + 1) a_(n - k) / (k! q^(k (k - 1) / 2)).

The terms cancel, by 2^n where x is small, so that decimals have as many digits as that takes. The number of edges has
the mean d log A_n / d log x.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache

_DIGITS = 60
_STEP = 1e-5
MAX_VARIABLES = 500
"""Most variables for which DAGs are counted by their edges: half a minute at 500, less than a second at 100."""


@lru_cache(maxsize=512)
def log_dag_sum(num_variables: int, edge_weight: float) -> float:
    """Log of the sum over all DAGs of exp(edge_weight * number of edges).

    Raises:
        ValueError: If there are more than 500 variables.

    Example:
        >>> round(math.exp(log_dag_sum(4, 0.0)))
        543
    """
    return float(_log_dag_sum(num_variables, Decimal(edge_weight)))


@lru_cache(maxsize=512)
def expected_edges(num_variables: int, edge_weight: float) -> float:
    """Mean number of edges under the prior exp(edge_weight * number of edges) over all DAGs.

    Example:
        >>> round(expected_edges(2, 0.0), 6)  # none, one way, the other way
        0.666667
    """
    above, below = (_log_dag_sum(num_variables, Decimal(edge_weight) + Decimal(s * _STEP)) for s in (1, -1))
    with localcontext() as context:
        context.prec = _DIGITS
        return float((above - below) / Decimal(2 * _STEP))


@lru_cache(maxsize=128)
def weight_of_edges(num_variables: int, mean: float) -> float:
    """The edge weight, in nats, under which the mean number of edges over all DAGs is ``mean``.

    Raises:
        ValueError: If no DAG of so many variables has so many edges, or the mean is not above 0.

    Example:
        >>> round(weight_of_edges(2, 2 / 3), 4)
        0.0
    """
    most = num_variables * (num_variables - 1) / 2
    if not 0.0 < mean < most:
        raise ValueError(f"mean: got {mean:g} edges, expected more than 0 and less than {most:g}")
    low, high = math.log(mean / (2 * most)) - 1.0, 1.0
    while expected_edges(num_variables, high) < mean:
        high += 1.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if expected_edges(num_variables, middle) < mean else (low, middle)
    return 0.5 * (low + high)


def _log_dag_sum(num_variables: int, edge_weight: Decimal) -> Decimal:
    if not 0 <= num_variables <= MAX_VARIABLES:
        raise ValueError(f"num_variables: got {num_variables}, expected 0 ... {MAX_VARIABLES}")
    with localcontext() as context:
        context.prec = _DIGITS + math.ceil(0.4 * num_variables)
        q = 1 + edge_weight.exp()
        terms, sums = [], [Decimal(1)]
        term, power = Decimal(-1), Decimal(1)
        for n in range(1, num_variables + 1):
            term = -term / (n * power)
            power *= q
            terms.append(term)
            sums.append(sum((a * b for a, b in zip(terms, reversed(sums), strict=True)), Decimal(0)))
        scale = Decimal(num_variables * (num_variables - 1) // 2) * q.ln()
        return sums[-1].ln() + Decimal(math.factorial(num_variables)).ln() + scale
