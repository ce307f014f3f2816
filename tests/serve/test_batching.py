import asyncio
import threading

import numpy as np
import pytest

from bothways.serve.batching import AT_ONCE_WORK, BATCH_SEQUENCES, Batcher

BATCH_STEPS = 1000


class Model:
    """Returns the sum of each array; in a thread, waits before the first batch."""

    def __init__(self, work):
        self.work = work
        self.release = threading.Event()
        self.batches = []

    def multiply_adds(self, lengths):
        return self.work

    def probabilities(self, arrays):
        if self.work > AT_ONCE_WORK:
            assert self.release.wait(10)
        self.batches.append(len(arrays))
        if any(np.isnan(array).any() for array in arrays):
            raise ArithmeticError("not a number")
        return [array.sum(keepdims=True) for array in arrays]


IN_THREAD, IN_LOOP = AT_ONCE_WORK + 1, 1
both = pytest.mark.parametrize("work", [IN_THREAD, IN_LOOP])


def run(use, work=IN_THREAD):
    """Run `use(batcher, model)` in an event loop with a batcher."""
    model = Model(work)

    async def main():
        batcher = Batcher(model, BATCH_STEPS, lambda sequences, steps: None)
        try:
            return await use(batcher, model)
        finally:
            model.release.set()
            await batcher.stop()
            assert not batcher.is_running

    return asyncio.run(main()), model


def ones(count, steps=1):
    return [np.full((steps, 1), 1.0, np.float32) for _ in range(count)]


@both
def test_requests_that_wait_run_together(work):
    async def use(batcher, model):
        futures = [batcher.submit([np.full((2, 1), n, np.float32)]) for n in range(20)]
        await asyncio.sleep(0.05)
        model.release.set()
        return await asyncio.gather(*futures)

    answers, model = run(use, work)
    assert [float(answer[0].item()) for answer in answers] == [2 * n for n in range(20)]
    assert model.batches == [20]


@both
def test_a_large_request_does_not_delay_a_small_one(work):
    done = []

    async def use(batcher, model):
        large = batcher.submit(ones(10 * BATCH_SEQUENCES))
        small = batcher.submit(ones(1))
        large.add_done_callback(lambda _: done.append("large"))
        small.add_done_callback(lambda _: done.append("small"))
        model.release.set()
        found = await asyncio.gather(large, small)
        return [len(answers) for answers in found]

    counts, model = run(use, work)
    assert counts == [10 * BATCH_SEQUENCES, 1]
    assert done == ["small", "large"]
    assert max(model.batches) == BATCH_SEQUENCES


@both
def test_a_batch_has_limited_steps(work):
    async def use(batcher, model):
        model.release.set()
        return await batcher.submit(ones(8, BATCH_STEPS // 2))

    _, model = run(use, work)
    assert max(model.batches) == 2


@both
def test_an_error_fails_the_requests_of_its_batch_only(work):
    async def use(batcher, model):
        model.release.set()
        with pytest.raises(ArithmeticError, match="not a number"):
            await batcher.submit([np.full((1, 1), np.nan)])
        return await batcher.submit(ones(1))

    answers, _ = run(use, work)
    assert answers[0].item() == 1


def test_a_canceled_request_is_not_run():
    async def use(batcher, model):
        first = batcher.submit(ones(1))
        await asyncio.sleep(0.05)  # its batch has begun
        second, third = batcher.submit(ones(5)), batcher.submit(ones(2))
        second.cancel()
        model.release.set()
        await asyncio.gather(first, third)

    _, model = run(use)
    assert sum(model.batches) == 3


def test_stopping_answers_what_waits():
    async def use(batcher, model):
        futures = [batcher.submit(ones(BATCH_SEQUENCES)) for _ in range(3)]
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0.05)
        assert not batcher.is_running
        model.release.set()
        await stopping
        return await asyncio.gather(*futures)

    answers, _ = run(use)
    assert [len(answer) for answer in answers] == [BATCH_SEQUENCES] * 3
