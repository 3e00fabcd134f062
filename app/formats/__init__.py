"""Readers of agent logs: bytes in, what they say out. Pure. One file a format, one line here."""

from collections.abc import Callable, Mapping

from app.candidates import Candidate
from app.formats import success_memory

READERS: Mapping[str, Callable[[dict[str, object]], Candidate]] = {
    "success_memory": success_memory.read,
}
