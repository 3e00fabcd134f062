"""Conversations: one turn that asks and one that answers, in the two ways of writing a turn.

There is no system turn anywhere: the templates of several model families refuse one, and a prompt that says the same in
all formats can be compared. Where a trainer reads a `system` column, it is there and empty.
"""

from app.exports.shape import Column, ListOf, Row, Scalar, ShapeError, Struct, is_same

MESSAGE = Struct((("role", Scalar.STRING), ("content", Scalar.STRING)))
MESSAGES = ListOf(MESSAGE)
TURN = Struct((("from", Scalar.STRING), ("value", Scalar.STRING)))
TURNS = ListOf(TURN)
SYSTEM = Column("system", may_be_empty=True)

USER, ASSISTANT = "user", "assistant"
HUMAN, GPT = "human", "gpt"

Turn = dict[str, object]


def user(text: object) -> Turn:
    """`{"role": "user", "content": text}`."""
    return {"role": USER, "content": text}


def assistant(text: object) -> Turn:
    """`{"role": "assistant", "content": text}`."""
    return {"role": ASSISTANT, "content": text}


def human(text: object) -> Turn:
    """`{"from": "human", "value": text}`."""
    return {"from": HUMAN, "value": text}


def gpt(text: object) -> Turn:
    """`{"from": "gpt", "value": text}`."""
    return {"from": GPT, "value": text}


def check_turns(turns: object, *speakers: str) -> None:
    """Refuse a conversation, or one turn that stands alone, that is not of these speakers in this order.

    Raises:
        ShapeError: it is not; a trainer would skip it with a warning, or learn to speak for the user.

    """
    listed = turns if isinstance(turns, list) else [turns]
    spoke = tuple(next(iter(turn.values()), None) if isinstance(turn, dict) else None for turn in listed)
    if spoke != speakers:
        raise ShapeError(f"The turns must be {', '.join(speakers)}; they are {', '.join(map(str, spoke)) or 'none'}.")


def check_told_apart(row: Row) -> None:
    """Refuse a pair whose two conversations, or answers, end with the same text.

    Raises:
        ShapeError: they do.

    """
    if is_same(_last(row["chosen"]), _last(row["rejected"])):
        raise ShapeError("The chosen answer is the rejected one.")


def _last(turns: object) -> str:
    turn = turns[-1] if isinstance(turns, list) else turns
    return str([*turn.values()][-1]) if isinstance(turn, dict) else ""
