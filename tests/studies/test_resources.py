"""What a piece of work takes is its own: not what this process did before."""

import os
import time

import numpy as np
import pytest

from pyro_lcm.studies.resources import Resources


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system does not forget a peak")
def test_the_peak_of_earlier_work_is_forgotten():
    spent = Resources()
    before = spent.peak_gb
    held = np.ones(40_000_000)  # 0.32 GB
    peak = spent.peak_gb
    assert peak > before + 0.3
    del held
    assert Resources().peak_gb < peak - 0.2


def test_seconds_are_the_processors():
    spent = Resources()
    time.sleep(0.2)
    assert spent.cpu_seconds < 0.1
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert spent.cpu_seconds >= 0.1
