import pytest
import torch

from pyro_lcm.training.batch_order import BatchOrder
from tables import each_row


@pytest.mark.parametrize(("size", "batch_size"), [(10, 3), (12, 4), (7, 5), (5, 1)])
def test_every_row_comes_once_an_epoch(size, batch_size):
    order = BatchOrder(size, batch_size, seed=1)
    epochs = 4
    steps = -(-epochs * size // batch_size)
    rows = torch.cat([order.index(step) for step in range(steps)])[: epochs * size].reshape(epochs, size)
    assert (rows.sort(1).values == torch.arange(size)).all()
    assert len({tuple(epoch.tolist()) for epoch in rows}) > 1 or size < 4


def test_all_batches_have_one_size():
    order = BatchOrder(10, 4, seed=0)
    assert {len(order.index(step)) for step in range(20)} == {4}


def test_order_is_a_function_of_seed_and_step():
    order = BatchOrder(50, 8, seed=3)
    forwards = [order.index(step).tolist() for step in range(30)]
    fresh = BatchOrder(50, 8, seed=3)
    assert [fresh.index(step).tolist() for step in reversed(range(30))] == forwards[::-1]
    assert BatchOrder(50, 8, seed=4).index(0).tolist() != forwards[0]


def test_batch_larger_than_the_data_takes_every_row():
    assert sorted(BatchOrder(6, 100, seed=0).index(5).tolist()) == list(range(6))


@pytest.mark.parametrize(("size", "batch_size"), [(30, 6), (7, 4), (9, 100)])
def test_processes_share_a_batch(size, batch_size):
    processes = 2
    filled = min(batch_size, size - size % processes)
    whole = BatchOrder(size, filled, seed=5)
    ranks = [BatchOrder(size, batch_size, seed=5, rank=rank, processes=processes) for rank in range(processes)]
    for step in range(12):
        parts = [order.index(step) for order in ranks]
        assert len(parts[0]) == len(parts[1])
        assert torch.equal(torch.cat(parts), whole.index(step))


@each_row(("size", "batch_size", "processes"), [(10, 3, 2), (1, 2, 2)])
def test_batch_that_cannot_be_shared_is_an_error(size, batch_size, processes):
    with pytest.raises(ValueError, match="batch_size"):
        BatchOrder(size, batch_size, seed=0, processes=processes)
