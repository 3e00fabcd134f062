"""Whether two texts say the same: after white space and comments, and as Python where both are."""


def is_same(one: str, other: str) -> bool:
    """Whether two answers are one."""
    raise NotImplementedError
