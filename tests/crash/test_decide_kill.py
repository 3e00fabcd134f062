"""kill -9 of a server while people decide, thirty times on each database: nothing acknowledged is lost or doubled.

A campaign: PATCHSIFT_CRASH_CYCLES=1000 python -m pytest tests/crash/test_decide_kill.py
"""

import random
import threading
import time

import pytest

from tests.crash.installations import Installation
from tests.crash.servers import cycles, serving_forked
from tests.crash.test_kill import Memory, decide_until_gone
from tests.logs import line

pytestmark = pytest.mark.crash

CYCLES = cycles(30)
N_CLIENTS = 6
N_EACH = 16


def test_no_acknowledged_decision_is_lost_and_none_is_doubled(installation: Installation) -> None:
    n_lines = N_CLIENTS * CYCLES * N_EACH
    installation.fill(b"".join(line(f"Issue {n}") + b"\n" for n in range(n_lines)))
    memories = [Memory() for _ in range(N_CLIENTS)]
    chance = random.Random(7)

    for cycle in range(CYCLES):
        with serving_forked(installation.folder, *installation.options) as server:
            threads = []
            for seed, memory in enumerate(memories):
                first = (cycle * N_CLIENTS + seed) * N_EACH
                # Each has its own, and the last few are a neighbour's too, so that two want the same.
                ids = [1 + number % n_lines for number in range(first, first + N_EACH + 4)]
                threads.append(threading.Thread(target=decide_until_gone, args=(server, memory, seed, ids)))
            for thread in threads:
                thread.start()
            enough = sum(len(memory.acknowledged) for memory in memories) + chance.randint(5, 60)
            while any(thread.is_alive() for thread in threads):
                if sum(len(memory.acknowledged) for memory in memories) >= enough:
                    break
                time.sleep(0.001)
            server.kill()
            for thread in threads:
                thread.join()

    stored = dict(installation.rows("SELECT key, id FROM decision"))
    acknowledged = {key: number for memory in memories for key, number in memory.acknowledged.items()}
    assert len(acknowledged) >= 5 * CYCLES
    assert {code for memory in memories for code in memory.refused} <= {409}
    assert acknowledged.items() <= stored.items()
    # What is stored without having been acknowledged is at most what a client was waiting for when the server died.
    assert len(stored) - len(acknowledged) <= N_CLIENTS * CYCLES
    assert installation.rows("SELECT candidate_id FROM decision GROUP BY candidate_id HAVING count(*) > 1") == []
    installation.assert_sound()
