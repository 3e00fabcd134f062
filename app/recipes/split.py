"""Which split an example goes to: by its group alone, so that it never moves when others come or go. Pure."""

import hashlib

from app.examples import Split

SHARES = ((Split.TRAIN, 0.8), (Split.VALIDATION, 0.1), (Split.TEST, 0.1))
RULE = "SHA-256 of '<seed>:' and the group digest, its first 8 bytes over 2^64: under 0.8 train, under 0.9 validation"
_TRAIN_BELOW = 2**64 * 8 // 10
_VALIDATION_BELOW = 2**64 * 9 // 10


def split_of(group_digest: bytes, seed: int) -> Split:
    """`split_of(bytes(32), 0)` is the same split for ever; another seed deals the groups anew.

    Args:
        group_digest: SHA-256 of the group's key, 32 bytes.
        seed: any whole number.
    """
    digest = hashlib.sha256(b"%d:" % seed + group_digest).digest()
    at = int.from_bytes(digest[:8])
    if at < _TRAIN_BELOW:
        return Split.TRAIN
    return Split.VALIDATION if at < _VALIDATION_BELOW else Split.TEST
