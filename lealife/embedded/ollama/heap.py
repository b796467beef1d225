"""Freed memory goes back to the system: glibc would keep that of unloaded weights."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_ARENA_MAX = -8


def keep_one_heap() -> None:
    """Before llama.cpp starts its threads: one heap for all, since each heap keeps some of what was freed in it."""
    libc = ctypes.CDLL(None)
    # Only glibc has these two functions.
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)


def return_memory() -> None:
    """Gives what is free back to the system."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
