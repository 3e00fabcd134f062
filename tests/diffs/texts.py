"""Texts that a diff parser may meet: real samples, hand-made oddities, and whatever Hypothesis thinks of."""

from pathlib import Path

from hypothesis import strategies as st

SAMPLES = {path.name: path.read_bytes().decode() for path in sorted((Path(__file__).parent / "samples").glob("*.diff"))}

_ATOMS = st.sampled_from(
    [
        "--- a/x.py\n", "+++ b/x.py\n", "@@ -1,2 +1,2 @@ def f():\n", "@@ -1 +1 @@\n", "@@ ... @@\n", "@@\n",
        "-a = 1\n", "+b = 1\n", " c\n", "\n", "\\ No newline at end of file\n", "-a\f-b\n", "-return 1+return 2\n",
        "diff --git a/x b/x\n", 'rename from "\\303\n', "new file mode 100755\n", "GIT binary patch\n", "@@@ -1 @@@\n",
        "x", "\x1c", "\u2028", "\u0085", "\r", "\r\n", "\0", "\ud800", "\u202e", "\U000e0041", "\xa0", "-", "+", " ",
        "@@", "-- \n", "...", "<i>&amp;</i>",
    ]
)  # fmt: skip
_ANY = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=6)
ODD_TEXTS = st.lists(_ATOMS | _ANY, max_size=16).map("".join)
SMALL_TEXTS = st.text(alphabet="ab\n\r\f\u2028", max_size=12)


def with_header(body: str) -> str:
    return "--- a/x.py\n+++ b/x.py\n" + body
