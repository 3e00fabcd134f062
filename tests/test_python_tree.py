import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.diffs.meaning import Only, compare
from app.python_tree import parse_python

SUM = f"x = {' + '.join(['a'] * 40)}\n" * 100


def give_way(_phase: str, _what: dict[str, int]) -> None:
    os.sched_yield()


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change places at every chance, and within the building of a tree as well: at a collection of garbage."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)
    gc.callbacks.remove(give_way)


@pytest.mark.usefixtures("restless")
def test_many_threads_read_python_at_once() -> None:
    with ThreadPoolExecutor(6) as threads:
        trees = list(threads.map(lambda _n: len(parse_python(SUM).body), range(60)))
        same = list(threads.map(lambda _n: compare(SUM, SUM.replace(" + ", "+")), range(12)))

    assert trees == [100] * 60
    assert same == [Only.LAYOUT] * 12
