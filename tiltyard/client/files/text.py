"""Bytes to lines of text, with the place of the first byte that is none."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from tiltyard.errors import InvalidInput

_BOM = codecs.BOM_UTF8
# What a file begins with that isn't text at all, and how to mend that.
_FOREIGN = {
    b"\x1f\x8b": "is compressed by gzip: unpack it, or pipe `gunzip -c` into `-`",
    b"PK\x03\x04": "is a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"PAR1": "is Parquet: say --format parquet",
    codecs.BOM_UTF16_LE: "is UTF-16: say --encoding utf-16",
    codecs.BOM_UTF16_BE: "is UTF-16: say --encoding utf-16",
}


def lines_of(stream: BinaryIO, name: str, encoding: str | None) -> Iterator[str]:
    """The lines of a file, their ends kept, without a byte-order mark.

    UTF-8 is what a file is in unless `encoding` says otherwise.

    Raises
    ------
    InvalidInput
        For an encoding that Python doesn't know, and for bytes that aren't in
        the encoding, with the line and the likely remedy.
    """
    if encoding is not None and _codec(encoding) != "utf-8":
        return _other_lines(stream, name, encoding)
    return _utf8_lines(stream, name)


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except LookupError:
        raise InvalidInput(f"There is no encoding {encoding!r}: write utf-8, cp1252, latin-1, …") from None


def _utf8_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        if number == 1:
            for start, remedy in _FOREIGN.items():
                if line.startswith(start):
                    raise InvalidInput(f"{name} {remedy}.")
            line = line.removeprefix(_BOM)
        try:
            yield line.decode()
        except UnicodeDecodeError as exc:
            raise InvalidInput(
                f"{name}, line {number}, isn't UTF-8: byte {exc.start + 1} of it is 0x{line[exc.start]:02x}. "
                "Files of spreadsheets are often in cp1252: say --encoding cp1252 if this one is."
            ) from exc


def _other_lines(stream: BinaryIO, name: str, encoding: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(io.TextIOWrapper(stream, encoding, newline=""), 1):
            # The codecs that have a byte-order mark take it away themselves, unless they name its order.
            yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError as exc:
        raise InvalidInput(
            f"{name} isn't {encoding} some way after line {number}: {exc}. Say another --encoding."
        ) from exc
