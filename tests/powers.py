"""What root may do and others may not, given up for a while: so that tests of permissions run as root as well."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# linux/capability.h: version 3 of the call takes two sets of 32 bits each; these two let root pass by permissions.
_VERSION_3 = 0x20080522
_PASS_BY_PERMISSIONS = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def only_what_permissions_allow() -> Iterator[None]:
    """Let permissions hold for this thread, root's too, until the block ends."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0].effective
    try:
        sets[0].effective = before & ~_PASS_BY_PERMISSIONS
        if libc.capset(ctypes.byref(header), sets) != 0:
            raise OSError(ctypes.get_errno(), "capset")
        yield
    finally:
        sets[0].effective = before
        libc.capset(ctypes.byref(header), sets)
