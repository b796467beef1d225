"""Content-Encoding: decompresses a body in pieces of limited size.

Not httpx's own decoders: they decompress a chunk whole, however large it becomes.
"""

from __future__ import annotations

import zlib

from training.agent.errors import AgentError, ErrorCode

# Codings that we can decompress, and so request.
ACCEPTED = "gzip, deflate"
# Codings that exist but were not requested. Any other token is not a coding: such a body is not compressed.
_UNASKED = frozenset(
    {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "aes128gcm", "pack200-gzip", "bzip2", "xz", "lzma"}
)
_GZIP = frozenset({"gzip", "x-gzip"})
_DEFLATE = frozenset({"deflate", "x-deflate"})
# A body that is compressed more than twice is a trap.
LAYERS_MAX = 2
# A gzip file may consist of several members. More than this many in one page is a trap, too.
MEMBERS_MAX = 1_000
_GZIP_MAGIC = b"\x1f\x8b"
_ANY_HEADER = zlib.MAX_WBITS | 32
_NO_HEADER = -zlib.MAX_WBITS


class Unpacker:
    """Unpacks one body, chunk by chunk; at most `limit` bytes per layer (one more is made, so that one can tell).

    Raises AgentError fetch_failed for a coding that was not asked for and for a broken body.
    """

    def __init__(self, content_encoding: str, *, url: str, limit: int) -> None:
        self._url = url[:200]
        tokens = [token.strip().lower() for token in content_encoding.split(",")]
        for token in tokens:
            if token in _UNASKED:
                raise AgentError(ErrorCode.FETCH_FAILED, f"{self._url} is compressed as {token!r}: not requested.")
        packed = [token for token in tokens if token in _GZIP | _DEFLATE]
        if len(packed) > LAYERS_MAX:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{self._url} is compressed {len(packed)} times over.")
        # The header lists the codings in the order in which they were applied. Where two layers are named, the inner
        # one often exists by name only: a proxy added its header again.
        self._layers = [
            _Inflater(token, limit=limit, is_certain=index == 0) for index, token in enumerate(reversed(packed))
        ]

    def unpack(self, chunk: bytes) -> bytes:
        """What this chunk adds to the body."""
        try:
            for layer in self._layers:
                chunk = layer.feed(chunk)
        except zlib.error as error:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{self._url} cannot be decompressed: {error}.") from None
        return chunk

    def finish(self) -> None:
        """Raises AgentError fetch_failed when the body ended too early: half a page is no evidence."""
        if not all(layer.is_complete for layer in self._layers):
            raise AgentError(ErrorCode.FETCH_FAILED, f"{self._url} broke off: its compressed body is incomplete.")


class _Inflater:
    """One layer: gzip of one or more members, or deflate with or without the zlib header."""

    def __init__(self, coding: str, *, limit: int, is_certain: bool) -> None:
        self._may_be_raw = coding in _DEFLATE
        self._is_certain = is_certain
        self._left = limit + 1
        self._held = b""
        self._members = 0
        self._inflate: zlib._Decompress | None = None
        self._is_plain = False
        self._is_over = False

    @property
    def is_complete(self) -> bool:
        """Whether the layer ended where it says that it ends. One that never began is an empty body."""
        if self._is_plain or self._is_over:
            return True
        return self._inflate is None and (self._members > 0 or not self._held)

    def feed(self, chunk: bytes) -> bytes:
        """Unpacks a chunk. Raises zlib.error."""
        if self._is_plain:
            return chunk
        made = bytearray()
        data = self._held + chunk
        self._held = b""
        while data and self._left and not self._is_over:
            if self._inflate is None:
                # Two bytes tell what follows.
                if len(data) < 2:
                    self._held = data
                    break
                if not self._begin(data):
                    made += data if self._is_plain else b""
                    break
            assert self._inflate is not None  # noqa: S101  for mypy: _begin has set it
            piece = self._inflate.decompress(data, self._left)
            made += piece
            self._left -= len(piece)
            data = b""
            if self._inflate.eof:
                data, self._inflate = self._inflate.unused_data, None
        return bytes(made)

    def _begin(self, data: bytes) -> bool:
        is_gzip = data.startswith(_GZIP_MAGIC)
        if self._members and not is_gzip:
            # Padding after the last member.
            self._is_over = True
            return False
        has_header = is_gzip or _has_zlib_header(data)
        if not has_header and not self._is_certain:
            self._is_plain = True
            return False
        self._members += 1
        if self._members > MEMBERS_MAX:
            raise zlib.error(f"more than {MEMBERS_MAX:,} gzip members")
        self._inflate = zlib.decompressobj(_NO_HEADER if self._may_be_raw and not has_header else _ANY_HEADER)
        return True


def _has_zlib_header(data: bytes) -> bool:
    # RFC 1950: method 8, and the two bytes are a multiple of 31. No raw deflate begins with such a nibble.
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
