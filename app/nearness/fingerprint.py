"""What a change looks like: its changed tokens with names, numbers and strings folded, as a set of shingles. Pure.

A shingle is five tokens in a row, hashed to 32 bits. Two candidates are near-duplicates where at least 0.8 of all their
shingles are common to both. Why it is folded so, and what was measured: docs/decisions/0018.
"""

import builtins
import hashlib
import json
import keyword
import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from zlib import crc32

from app.candidates import Candidate, Kind

VERSION = 1
"""Goes up when the same candidate gets other shingles."""

Shingles = bytes
"""Numbers of 32 bits, each once, ascending, lowest byte first; empty where there is nothing to compare."""

_N = 5
_WIDTH = 4
# Of fewer shingles, names folded, a change is too common: among 22,000 pieces of code from different packages, 28,000
# pairs looked alike below it, and three from it on.
FEWEST = 16
# A larger set is known by the smallest of its numbers, which are as good as drawn by lot.
MOST = 1024
# Of changed lines so many characters count, of a diff so many are looked at, context included.
_CHARACTERS, _LOOKED_AT = 500_000, 8_000_000
_EXACT_BYTES = 16

_STRING = r"""[rRbBuUfF]{0,2}(?:\"\"\"|'''|"(?:[^"\\\n]|\\.){0,100}+"|'(?:[^'\\\n]|\\.){0,100}+')"""
_OPERATOR = r"\*\*=?|//=?|>>=?|<<=?|->|[-+*/%&|^@=!<>:]=|\.\.\.|[^\s\w]"
_TOKEN = re.compile(rf"{_STRING}|\w+|{_OPERATOR}")
_WORD = re.compile(r"\w+|[^\s\w]")
_HUNK = re.compile(r"^(?:@@ |--- .*\n\+\+\+ )", re.MULTILINE)

_KEPT = frozenset({*keyword.kwlist, *keyword.softkwlist, *(name for name in dir(builtins) if name[0] != "_")})
_MODULES = frozenset({"import", "from"})
_ADDED, _REMOVED = "+", "-"


def _code(said: str) -> bytes:
    return crc32(said.encode(errors="surrogatepass")).to_bytes(_WIDTH, "little")


# A name is known by how far back it stood last, so that `a = b` is not `a = a`; further back than a shingle is long, it
# is as good as new.
_NAMES = {sign: tuple(_code(f"{sign}name {back}") for back in range(_N)) for sign in (_ADDED, _REMOVED)}
_NUMBER = {sign: _code(f"{sign}number") for sign in (_ADDED, _REMOVED)}
_TEXT = {sign: _code(f"{sign}text") for sign in (_ADDED, _REMOVED)}


def fingerprint(said: Candidate) -> Shingles:
    """The shingles of a candidate: of its diff, else its script; of a spec or a style, of its words.

    A change with fewer than `FEWEST` folded shingles gets the digest of its own words instead, four numbers, so that
    only an equal change is like it.
    """
    if said.kind is not Kind.PATCH:
        return _of_words(f"{said.kind} ", _words(said))
    if said.diff and _HUNK.search(said.diff):
        lines = list(_changed(said.diff))
        found = _shingles(_folded(lines))
        return _packed(found) if len(found) >= FEWEST else _exact("diff ", " ".join(_plain(lines)))
    return _of_words("script ", said.script or "")


def _of_words(prefix: str, text: str) -> Shingles:
    """Of a text that is not folded: a script is mostly scaffold, and what differs are its strings and names."""
    words = _WORD.findall(text, 0, _CHARACTERS)
    found = _shingles(map(_code, words), crc32(prefix.encode()))
    return _packed(found) if len(found) >= FEWEST else _exact(prefix, " ".join(words))


def _words(said: Candidate) -> str:
    if said.spec is not None:
        return f"{said.issue}\n{said.spec.yaml}"
    if said.refine is not None:
        return said.refine.snippet
    if said.unify is not None:
        # As JSON, for it is an open dict; keys in order, for their order says nothing.
        return "\n".join(json.dumps(dict(one), sort_keys=True, default=str) for one in said.unify.samples)
    return said.issue


def _changed(diff: str) -> Iterator[str]:
    """The changed lines with their signs, file headers left out, up to half a million characters in all."""
    lines = diff[:_LOOKED_AT].split("\n")
    left = _CHARACTERS
    is_header = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if is_header:
            is_header = False
        elif line.startswith("--- ") and following.startswith("+++ "):
            is_header = True
        elif line[:1] in {_ADDED, _REMOVED}:
            yield line[:left]
            left -= len(line)
            if left <= 0:
                return


def _plain(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        tokens = _TOKEN.findall(line, 1)
        if tokens:
            yield line[0]
            yield from tokens


def _folded(lines: Iterable[str]) -> list[bytes]:
    codes: list[bytes] = []
    places: dict[str, int] = {}
    for line in lines:
        tokens = _TOKEN.findall(line, 1)
        if tokens and tokens[0] in _MODULES:
            # What is imported says what a change is about, and lists of imports look all alike without it.
            codes += [_code(line[0] + token) for token in tokens]
        else:
            _fold(tokens, line[0], codes, places)
    return codes


def _fold(tokens: list[str], sign: str, codes: list[bytes], places: dict[str, int]) -> None:
    """Append the codes of one line; `places` says where each name stood last."""
    names, number, text = _NAMES[sign], _NUMBER[sign], _TEXT[sign]
    before = ""
    for token in tokens:
        first = token[0]
        name = ""
        if token in _KEPT:
            code = _code(sign + token)
        elif first.isalpha() or first == "_":
            if token[-1] in "\"'":
                code = text
            else:
                name = token
                back = len(codes) - places.get(token, -_N)
                code = names[back if back < _N else 0]
                places[token] = len(codes)
                if before:
                    # Two names in a row are no code but words of a sentence, which tell one text from another.
                    codes[-1], code = _code(sign + before.lower()), _code(sign + token.lower())
        elif first.isdigit():
            code = number
        elif first in "\"'" and len(token) > 1:
            code = text
        else:
            code = _code(sign + token)
        before = name
        codes.append(code)


def _shingles(codes: Iterable[bytes], start: int = 0) -> set[int]:
    packed = b"".join(codes)
    size = _N * _WIDTH
    return {crc32(packed[at : at + size], start) for at in range(0, len(packed) - size + 1, _WIDTH)}


def _packed(found: Iterable[int]) -> Shingles:
    numbers = array("I", sorted(found)[:MOST])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _exact(prefix: str, words: str) -> Shingles:
    """Four numbers that only an equal text has: none is shared by chance, as one of 32 bits would be."""
    if not words:
        return b""
    digest = hashlib.blake2b((prefix + words).encode(errors="surrogatepass"), digest_size=_EXACT_BYTES).digest()
    return _packed({int.from_bytes(digest[at : at + _WIDTH], "little") for at in range(0, _EXACT_BYTES, _WIDTH)})


def unpack(shingles: Shingles) -> "array[int]":
    """The numbers of which the bytes are made, four bytes a number."""
    numbers = array("I", shingles)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def name(shingles: Shingles) -> int:
    """A number that equal fingerprints share, from 1 to 2**63 - 1; of two others it is the same by no chance."""
    digest = hashlib.blake2b(shingles, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 or 1
