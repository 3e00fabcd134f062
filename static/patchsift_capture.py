"""Log what a coding agent does, as it does it. One file, standard library only, Python 3.9 or newer: copy it.

    from patchsift_capture import Capture

    log = Capture(".agent_data/patchsift/capture.jsonl", push="http://127.0.0.1:8642")  # push may be left out
    with log.run(issue="Fix the typo in usage()", target_files=["cli.py"], operations=[{"name": "edit"}]) as run:
        run.prompt("scaffold", prompt)
        run.output("scaffold", answer)
        run.attempt(script, False, score=0.4, traceback=error, stage="scaffold")
        run.attempt(repaired, True, score=0.8, stage="repair")
        run.final(script=repaired, diff=diff, patch_source="LLMCore_polish_iteration_1")

    group.patch_history = run.history()      # or: an agent's own list of 4-tuples logs what is appended to it
    log.adapt(group.patch_history, issue=spec.issue_description)      # or: such a list, when a run is over
    log.spec_pair(issue, symbols, yaml)      # pairs for the models beside the coder: also style_refine, style_unify

Each call appends one whole line to the file before it returns, so a crash or `kill -9` loses nothing that was logged;
several threads and processes may write one file. A folder that this module makes is ignored by git, so that no
`git reset --hard` and no `git add -A` reaches it; a log that is deleted under the agent all the same is written again.
No call raises: what cannot be written is counted in `log.n_lost`, with one warning to the logger "patchsift_capture".
What is no JSON is made so, and the line's `made_safe` says what was changed. Pushing happens in a thread that reads
the file, so a server that is slow or gone costs the agent nothing; how far it has got stands in `<path>.pushed`.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import stat
import threading
import traceback as tracebacks
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from functools import wraps
from typing import Any, TypeVar, cast

VERSION = 1
EXIT_SECONDS = 2.0  # how long the end of the program waits for the last push
GATHER_SECONDS = 0.5  # how long a push waits for the lines that follow the first
ANSWER_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts to reach a server
BATCH_BYTES = 1 << 19  # below what proxies take
_MOST_VALUES, _DEEPEST, _MOST_NOTES = 1_000_000, 60, 20
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_TOO_LARGE = 413

_warnings = logging.getLogger("patchsift_capture")
_open_logs: set[Capture] = set()
_Method = TypeVar("_Method", bound=Callable[..., Any])


def _never_raises(method: _Method) -> _Method:
    """A method that counts what goes wrong instead of raising it: the agent's work is worth more than its log."""

    @wraps(method)
    def quiet(self: Capture | Run, *args: object, **kwargs: object) -> object:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  (whatever it is, the agent goes on)
            self.log.count_lost(error)
            return None

    return cast("_Method", quiet)


class Capture:
    """A capture log.

    Args:
        path: the file; folders are made as needed. Best in a folder of its own, which git then ignores.
        push: a Patchsift server's address, to send every line there too: `http://127.0.0.1:8642`.
        token: the server's token, where it asks for one.
        fsync: wait for the disk at each line: survives a power cut too, at some milliseconds a line.

    Attributes:
        n_lost: calls that could not be logged.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ".agent_data/patchsift/capture.jsonl",
        push: str | None = None,
        token: str | None = None,
        fsync: bool = False,
    ) -> None:
        self.path = os.path.abspath(path)  # the agent may change its folder later
        self.n_lost = 0
        self.log = self
        self._settings = (push, token, fsync)
        self._warned: set[str] = set()
        self._adapted: list[object] = []
        self._fd: int | None = None
        self._lock = threading.Lock()
        self._pusher: _Pusher | None = None
        _open_logs.add(self)
        self._push()

    def __reduce__(self) -> tuple[object, ...]:
        return Capture, (self.path, *self._settings)

    def run(
        self,
        issue: str | None = None,
        target_files: Iterable[str] | None = None,
        operations: Iterable[object] | None = None,
        phase: object = None,
        spec: object = None,
        model: str | None = None,
        **about: object,
    ) -> Run:
        """Begin a run: a context manager that also logs how its block ends.

        Args:
            issue: the issue text.
            target_files: paths that may change.
            operations: the spec's operations.
            phase: the phase, as an object of fields; its `target_file` counts where `target_files` is left out.
            spec: the whole spec; its fields count where the arguments before are left out.
            model: which model answers.
            about: anything else worth keeping: `issue_id`, `acceptance_tests`, and `score_direction`, which says how
                scores count: "higher" is better, or "lower" for a penalty.

        """
        given = {"issue": issue, "target_files": target_files, "operations": operations}
        run = Run(self)
        run.tell("run", **{**about, **given, "phase": phase, "spec": spec, "model": model})
        return run

    @_never_raises
    def adapt(
        self,
        history: Iterable[object],
        script: str | None = None,
        diff: str | None = None,
        patch_source: str | None = None,
        accepted: bool | None = True,
        outcome: str | None = None,
        error: object = None,
        **about: object,
    ) -> None:
        """Log a whole `patch_history` when its run is over: (script, is_valid, score, traceback) an attempt.

        `is_valid` is kept as it is: true, false, or text such as "pending_revalidation". Of a list that goes on from
        the one adapted before, because the agent never empties it, only what is new counts.

        Args:
            history: the list.
            script: the final script, where the last valid attempt is not it.
            diff: what the final script changes.
            patch_source: the agent's name for where that came from.
            accepted: whether the final version was accepted.
            outcome: how the run ended: "success", "PhaseFailure", ...
            error: what ended it, as text or as the exception.
            about: what `run` takes.

        """
        steps = list(history)
        before, self._adapted = self._adapted, steps
        if before and len(steps) >= len(before) and all(old is new for old, new in zip(before, steps)):
            steps = steps[len(before) :]
        run = self.run(**cast("dict[str, Any]", about), adapted=True)
        for step in steps:
            run.step(step)
        if not (script is None and diff is None and patch_source is None):
            run.final(script, diff, patch_source, accepted)
        run.end(outcome, error)

    @_never_raises
    def spec_pair(
        self,
        issue: str,
        symbols: str | Iterable[str],
        yaml: str | None,
        accepted: bool | None = None,
        error: object = None,
        **more: object,
    ) -> None:
        """Log an issue and its symbols (the prompt's text, or a list of names) with the YAML spec made of them."""
        is_text = isinstance(symbols, str)
        more["context_symbols_string" if is_text else "symbol_bag_string"] = symbols if is_text else "|".join(symbols)
        told = {"raw_issue_text": issue, "yaml_spec_string": yaml or "", "accepted_by_parser": accepted}
        self.append("spec", {**told, "error": error, **more})

    @_never_raises
    def style_refine(self, snippet: str, draft: object, refined: str, error: object = None, **more: object) -> None:
        """Log a code sample with its draft fingerprint and the refined one.

        More by the names of a style log: `polished_json`, `stats_block`, `validation_status`, `file_path`,
        `item_name`, `item_type`, `start_line`, `end_line`.
        """
        told = {"code_snippet": snippet, "raw_fingerprint_dict": draft, "refined_output_string": refined}
        self.append("style_refine", {**told, "error": error, **more})

    @_never_raises
    def style_unify(self, samples: object, unified: object, error: object = None, **more: object) -> None:
        """Log fingerprints of many samples (`fingerprint`, `file_path`, `weight`) with the profile made of them."""
        told = {"per_sample_fingerprints": samples, "unified_profile": unified, "error": error}
        self.append("style_unify", {**told, **more})

    @_never_raises
    def close(self, seconds: float = EXIT_SECONDS) -> None:
        """Push what can be pushed in this time and let go of the file; the end of the program does it by itself."""
        _open_logs.discard(self)
        with self._lock:
            if self._fd is not None:
                os.close(self._file())
                self._fd = None
        pusher, self._pusher = self._pusher, None
        if pusher is not None:
            pusher.close(seconds)

    # -------------------------------------------------------------------------------------------- below the calls

    def append(self, event: str, told: Mapping[str, object], run: Run | None = None) -> None:
        """Write one line; what is None is left out. Raises what goes wrong."""
        plain = _Plain()
        fields = {name: plain.of(value, name) for name, value in told.items() if value is not None}
        with self._lock:
            line: dict[str, object] = {"patchsift_capture": VERSION, "event": event}
            if run is not None:
                line.update(run=run.id, seq=run.take_number())
            line["at"] = datetime.now(timezone.utc).isoformat()
            line.update({f"{name}_" if name in line else name: value for name, value in fields.items()})
            if plain.notes:
                line["made_safe"] = list(plain.notes)[:_MOST_NOTES]
            self._write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._push()

    def count_lost(self, error: Exception) -> None:
        """Count a call that could not be logged, and say so once a kind of fault."""
        self.n_lost += 1
        kind = f"{type(error).__name__} {getattr(error, 'errno', None)}"
        if kind not in self._warned:
            self._warned.add(kind)
            with contextlib.suppress(Exception):
                _warnings.warning("The capture log %s lost a line: %s: %s", self.path, type(error).__name__, error)

    def after_fork(self) -> None:
        """Let a forked child have a file position, a lock and a thread of its own."""
        self._lock = threading.Lock()
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._pusher = None

    def _write(self, line: bytes) -> None:
        fd = self._file()
        size = os.lseek(fd, 0, os.SEEK_END)
        if size and _read_at(fd, size - 1, 1) != b"\n":
            line = b"\n" + line  # another writer was killed within its line: ours begins anew
        for _ in range(3):
            n_written = os.write(fd, line)
            begin = os.lseek(fd, 0, os.SEEK_CUR) - n_written
            alone = begin <= 0 or line.startswith(b"\n") or _read_at(fd, begin - 1, 1) == b"\n"
            if alone and n_written == len(line):
                if self._settings[2]:
                    os.fsync(fd)
                return
            line = b"\n" + line.lstrip(b"\n")  # or was killed in the instant since we looked; or the disk is full
        raise OSError("the line could not be written whole")

    def _file(self) -> int:
        """The log as it lies at its path now: also after a rotation, and after something deleted it."""
        held = self._fd
        if held is not None and _lies_at(self.path, held):
            return held
        self._fd = fd = _open_log(self.path)
        if self._pusher is not None:
            self._pusher.follow()
        if held is not None:
            if os.fstat(held).st_nlink == 0:
                _rescue(held, fd)
            os.close(held)
        return fd

    def _push(self) -> None:
        server, token, _ = self._settings
        if server and self._pusher is None and self in _open_logs:
            self._pusher = _Pusher(self.path, server, token)
        if self._pusher is not None:
            self._pusher.wake.set()


class Run:
    """One run of the agent; `Capture.run` makes it."""

    def __init__(self, log: Capture) -> None:
        self.log = log
        self.id = uuid.uuid4().hex
        self._n_told = 0
        self._ended = False
        self._outcome: str | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.end(self._outcome)
        else:
            self.end(kind.__name__, error, raised=True)

    @_never_raises
    def prompt(self, stage: str, text: str, model: str | None = None, **more: object) -> None:
        """Log a prompt before the model is asked; stages: scaffold, expand, heuristic, repair, polish, or your own."""
        self.tell("prompt", **{**more, "stage": stage, "text": text, "model": model})

    @_never_raises
    def output(self, stage: str, text: str, model: str | None = None, **more: object) -> None:
        """Log what the model answered, before anything is made of it."""
        self.tell("output", **{**more, "stage": stage, "text": text, "model": model})

    @_never_raises
    def attempt(
        self,
        script: object,
        is_valid: object,
        score: object = None,
        traceback: object = None,
        stage: object = None,
        **more: object,
    ) -> None:
        """Log a script that was tried and what the checks said.

        Args:
            script: the whole script.
            is_valid: true, false, or "pending_revalidation" for what was not checked yet.
            score: the style score.
            traceback: the error text, or the exception itself.
            stage: which step made the script.
            more: anything else worth keeping.

        """
        told = {"stage": stage, "script": script, "is_valid": is_valid, "score": score, "traceback": traceback}
        self.tell("attempt", **{**more, **told})

    @_never_raises
    def final(
        self,
        script: str | None = None,
        diff: str | None = None,
        patch_source: str | None = None,
        accepted: bool | None = True,
        **more: object,
    ) -> None:
        """Log the version that the agent settled on, and whether it was accepted."""
        self._outcome = "success" if accepted else None
        told = {"script": script, "diff": diff, "patch_source": patch_source, "accepted": accepted}
        self.tell("final", **{**more, **told})

    @_never_raises
    def fail(self, outcome: str = "failed", error: object = None, **more: object) -> None:
        """Log that the run ended without a result: `run.fail("PhaseFailure", error)`; text or the exception."""
        self.end(outcome, error, **more)

    @_never_raises
    def end(self, outcome: str | None = None, error: object = None, **more: object) -> None:
        """Log the end, once; a `with` block does it by itself."""
        if not self._ended:
            self._ended = True
            self.tell("end", **{**more, "outcome": outcome, "error": error})

    def history(self, steps: Iterable[object] = ()) -> list[Any]:
        """A list in the place of an agent's `patch_history`: what is put into it is logged, and cleared in vain."""
        return _History(self, steps)

    @_never_raises
    def step(self, step: object) -> None:
        """Log an attempt as a `patch_history` has it: (script, is_valid, score, traceback), or an object of these."""
        if isinstance(step, Mapping):
            self.tell("attempt", **{str(name): value for name, value in step.items()})
        elif isinstance(step, (tuple, list)):
            script, is_valid, score, trace, stage = (*step, None, None, None, None, None)[:5]
            self.attempt(script, is_valid, score, trace, stage, more=list(step[5:]) or None)
        else:
            self.tell("attempt", more=step)

    @_never_raises
    def tell(self, event: str, /, **told: object) -> None:
        """Log an event of one's own; a reader that does not know it keeps it."""
        self.log.append(event, told, self)

    def take_number(self) -> int:
        """The number of this run's next line."""
        self._n_told += 1
        return self._n_told - 1


class _History(list):  # type: ignore[type-arg]
    def __init__(self, run: Run, steps: Iterable[object]) -> None:
        super().__init__()
        self._run = run
        self.extend(steps)

    def append(self, step: object) -> None:
        super().append(step)
        self._run.step(step)

    def extend(self, steps: Iterable[object]) -> None:
        for step in steps:
            self.append(step)

    def __iadd__(self, steps: Iterable[object]) -> _History:  # type: ignore[misc]
        self.extend(steps)
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return list, (list(self),)  # a copy is an ordinary list


# ------------------------------------------------------------------------------------------------ what is no JSON


class _Plain:
    """Makes values such as JSON takes, and notes what it changed for that."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}
        self._n_values = 0
        self._open: set[int] = set()

    def of(self, value: object, field: str) -> object:
        """The value as JSON takes it, with all that is in it; never fails."""
        self._n_values += 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value), field)
        if isinstance(value, (int, float)):
            return self._number(value, field)
        name = f"<{type(value).__name__}>"
        if id(value) in self._open or len(self._open) >= _DEEPEST or self._n_values > _MOST_VALUES:
            return self._noted(field, "left out as too deep, too large or a circle", name)
        self._open.add(id(value))
        try:
            return self._held(value, field)
        except Exception:  # noqa: BLE001  (a foreign object's own code failed; the line is worth more)
            return self._noted(field, f"{name} could not be read", name)
        finally:
            self._open.discard(id(value))

    def _number(self, value: float, field: str) -> object:
        if not isinstance(value, int):
            real = float.__float__(value)
            return real if math.isfinite(real) else self._noted(field, f"{real!r} became text", repr(real))
        number = int.__int__(value)
        fits = _INT_MIN <= number <= _INT_MAX
        return number if fits else self._noted(field, "a number over 64 bits became text", hex(number))

    def _held(self, value: object, field: str) -> object:
        """What a container holds, or an object of some class."""
        if isinstance(value, Mapping):
            return self._object(dict(value), field)
        if isinstance(value, (list, tuple)):
            return [self.of(one, field) for one in list(value)]
        if isinstance(value, BaseException):
            return self.of("".join(tracebacks.format_exception(type(value), value, value.__traceback__)), field)
        return self.of(self._noted(field, f"<{type(value).__name__}> became plain", _plain_form(value)), field)

    def _object(self, fields: Mapping[Any, object], field: str) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in fields.items():
            name = key if isinstance(key, str) else self._noted(field, "a key became text", str(key))
            name = self._text(str.__str__(name), field)
            while name in made:
                name += "_"
            made[name] = self.of(value, field)
        return made

    def _text(self, text: str, field: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            whole = text.encode("utf-8", "backslashreplace").decode()
            return cast("str", self._noted(field, "half a character (a lone surrogate) became its escape", whole))
        return text

    def _noted(self, field: str, why: str, instead: Any) -> Any:
        self.notes[f"{field}: {why}"] = None
        return instead


_FORMS: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    ((bytes, bytearray, memoryview), lambda value: bytes(value).decode("utf-8", "backslashreplace")),
    ((set, frozenset), lambda value: sorted(value, key=repr)),
    (Enum, lambda value: value.value),
    (os.PathLike, os.fspath),
)


def _plain_form(value: Any) -> object:
    """What an object of some class says: its text, its fields, its plain value, or else how it shows itself."""
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    for name in ("model_dump", "isoformat", "item"):  # pydantic's models; dates; the numbers of numpy and torch
        if not isinstance(value, type) and callable(getattr(value, name, None)):
            return getattr(value, name)()
    return repr(value)


# ------------------------------------------------------------------------------------------------ the file


def _open_log(path: str) -> int:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, ".gitignore"), "w", encoding="ascii") as ignored:
            ignored.write("*\n")
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no ordinary file")
    return fd


def _lies_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _read_at(fd: int, at: int, n_bytes: int) -> bytes:
    os.lseek(fd, at, os.SEEK_SET)
    return os.read(fd, n_bytes)


def _whole_lines(fd: int, at: int, n_bytes: int) -> bytes:
    """Whole lines from this offset on, as many as go into so many bytes, or one longer line; empty at the end."""
    found = b""
    while chunk := _read_at(fd, at + len(found), n_bytes):
        end = chunk.find(b"\n") if found else chunk.rfind(b"\n")
        if end >= 0:
            return found + chunk[: end + 1]
        found += chunk
    return b""


def _rescue(held: int, fd: int) -> None:
    """Write the lines of a deleted log into the new one, but for those with which the new one begins."""
    at = os.lseek(fd, 0, os.SEEK_END)
    seen = min(at, 1 << 16)
    if _read_at(held, at - seen, seen) != _read_at(fd, at - seen, seen):
        at = 0
    while lines := _whole_lines(held, at, BATCH_BYTES):
        os.write(fd, lines)
        at += len(lines)


# ------------------------------------------------------------------------------------------------ pushing


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would make a GET of the lines, and take the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Pusher:
    """Sends the file's whole lines to a server, from a thread, from where the last process left off."""

    def __init__(self, path: str, server: str, token: str | None) -> None:
        self.path, self.side, self.server = path, f"{path}.pushed", server
        self.address = f"{server.rstrip('/')}/api/v1/ingest?name={urllib.parse.quote(os.path.basename(path))}"
        self.headers = {"Content-Type": "application/x-ndjson", "User-Agent": f"patchsift_capture/{VERSION}"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.opener = urllib.request.build_opener(_StayHere)
        self.most = BATCH_BYTES
        self.offset = 0
        self.warned = False
        self.wake, self.stop = threading.Event(), threading.Event()
        self.files: deque[int] = deque()
        self.follow()
        self.thread = threading.Thread(target=self._loop, name="patchsift_capture", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is ending: the next program sends the rest
            self.thread.start()

    def follow(self) -> None:
        """Take note of the file that lies at the path now: it is sent after those before it, wherever it is moved."""
        with contextlib.suppress(OSError):
            self.files.append(os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))

    def close(self, seconds: float) -> None:
        """Try once more, and wait no longer than this for it."""
        self.stop.set()
        self.wake.set()
        if self.thread.is_alive():
            self.thread.join(seconds)

    def _loop(self) -> None:
        wait = FIRST_WAIT
        ending = False
        while not ending:
            ending = self.stop.is_set()
            self.wake.clear()
            try:
                while lines := self._next_lines():
                    self._send(lines)
                wait = FIRST_WAIT
            except Exception as error:  # noqa: BLE001  (whatever it is, it may be better later)
                self._complain(error)
                self.stop.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if not ending and not self.stop.is_set():
                    self.wake.wait()
                    self.stop.wait(GATHER_SECONDS)
        while self.files:
            os.close(self.files.pop())

    def _send(self, lines: bytes) -> None:
        """Post some lines and write down how far that was; raises unless a Patchsift server took them."""
        asked = urllib.request.Request(self.address, data=lines, headers=self.headers, method="POST")  # noqa: S310
        try:
            with self.opener.open(asked, timeout=ANSWER_SECONDS) as answer:
                dict(json.loads(answer.read(BATCH_BYTES)))  # a page of something else that answers 200 is no report
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != _TOO_LARGE:
                raise
            if lines.count(b"\n") > 1:
                self.most = len(lines) // 2
                return
            self._complain(error)  # one line, and too large for that server: only the file has it
        self.offset += len(lines)
        said = {"offset": self.offset, "head": self._head(self.offset), "server": self.server}
        part = f"{self.side}.{os.getpid()}"
        with open(part, "w", encoding="utf-8") as side:
            json.dump(said, side)
        os.replace(part, self.side)

    def _next_lines(self) -> bytes:
        while self.files:
            fd = self.files[0]
            size = os.fstat(fd).st_size
            self.offset = max(self.offset if self.offset <= size else 0, self._remembered(size))
            lines = _whole_lines(fd, self.offset, self.most)
            if lines or len(self.files) == 1:
                return lines
            os.close(self.files.popleft())
            self.offset = 0
        return b""

    def _head(self, offset: int) -> str:
        """What tells this file from another that may come to lie at the same path."""
        return hashlib.sha256(_read_at(self.files[0], 0, min(offset, 256))).hexdigest()

    def _remembered(self, size: int) -> int:
        """How far the server has got this file, by what any process wrote down; 0 where that cannot be said."""
        try:
            with open(self.side, encoding="utf-8") as side:
                said = json.load(side)
            offset = int(said["offset"])
            same = said["server"] == self.server and offset <= size and said["head"] == self._head(offset)
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return offset if same else 0

    def _complain(self, error: Exception) -> None:
        if not self.warned:
            self.warned = True
            with contextlib.suppress(Exception):
                _warnings.warning("%s does not take the capture log (it is tried again): %s", self.server, error)


# ------------------------------------------------------------------------------------------------ the program's end


def _close_all() -> None:
    for log in list(_open_logs):
        log.close()


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
