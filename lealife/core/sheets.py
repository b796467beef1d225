"""Files of rows: CSV, XLSX and JSON, read within bounds and written so that no spreadsheet runs what is in them."""

from __future__ import annotations

import csv
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from itertools import islice
from typing import Any
from zipfile import ZipFile

import openpyxl
from django.contrib.sessions.backends.db import SessionStore
from import_export.formats import base_formats
from import_export.tmp_storages import BaseStorage
from tablib import Dataset

from lealife.core.errors import Conflict, InvalidInput

BYTES_MAX, ROWS_MAX, COLUMNS_MAX = 5 * 2**20, 20_000, 50
# XLSX is a zip: a small file may unpack to any size.
UNPACKED_MAX = 20 * BYTES_MAX
PIECE = 2**16
# Seconds in which a previewed file can be imported.
KEPT_S = 3600
# A spreadsheet may run a text that begins like this. With an apostrophe before it the text stays a text.
FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


class Csv(base_formats.CSV):
    """Comma-separated, in UTF-8."""

    def create_dataset(self, in_stream: bytes) -> Dataset:
        """The rows of the file. Raises InvalidInput past a bound."""
        rows = csv.reader(StringIO(in_stream.decode("utf-8-sig"), newline=""))
        return _build_dataset(next(rows, []), rows)

    def export_data(self, dataset: Dataset, **options: Any) -> str:
        """The file's text, with the mark by which Excel knows UTF-8."""
        return "\ufeff" + str(super().export_data(_write_rows(dataset), **options))


class Xlsx(base_formats.XLSX):
    """The first sheet of a workbook; of formulas the values that were stored with them."""

    def create_dataset(self, in_stream: bytes) -> Dataset:
        """The rows of the sheet. Raises InvalidInput past a bound."""
        _check_unpacked(in_stream)
        book = openpyxl.load_workbook(BytesIO(in_stream), read_only=True, data_only=True)
        # A sheet may claim a million columns in a few bytes.
        rows = book.active.iter_rows(max_row=ROWS_MAX + 2, max_col=COLUMNS_MAX + 1, values_only=True)
        return _build_dataset(next(rows, ()), rows)

    def export_data(self, dataset: Dataset, **options: Any) -> bytes:
        """The workbook."""
        return bytes(super().export_data(_write_rows(dataset), **options))


class Json(base_formats.JSON):
    """A list of objects, with the column names as keys. Texts stay as they are: no spreadsheet opens it."""

    def create_dataset(self, in_stream: bytes) -> Dataset:
        """The objects as rows. Raises InvalidInput for anything else, and past a bound."""
        found = json.loads(in_stream)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise InvalidInput("The file is not a list of objects with the column names as keys.")
        names = list(dict.fromkeys(name for each in found for name in each))
        return _build_dataset(names, ([each.get(name) for name in names] for each in found), escaped=False)


class KeptUpload(BaseStorage):
    """An uploaded file between its preview and its import.

    In the table of sessions, as one without a user: whichever web server is asked finds it, its random name is only
    known to who uploaded it, and it expires.
    """

    def save(self, data: bytes) -> None:
        """Keeps the file and names it."""
        SessionStore.clear_expired()
        kept = SessionStore()
        kept["upload"] = b64encode(data).decode()
        kept.set_expiry(KEPT_S)
        kept.save()
        self.name = kept.session_key

    def read(self) -> bytes:
        """The file. Raises Conflict when it has expired or was imported."""
        kept = SessionStore(self.name).get("upload")
        if kept is None:
            raise Conflict("The uploaded file is not kept any more. Upload it again.")
        return b64decode(kept)

    def remove(self) -> None:
        """Forgets the file."""
        SessionStore(self.name).delete()


def _check_unpacked(packed: bytes) -> None:
    """Unpacks a zip in small pieces and forgets them. Raises InvalidInput past the bound, or for a false size."""
    unpacked = 0
    with ZipFile(BytesIO(packed)) as parts:
        for each in parts.infolist():
            # Zipfile would stop at the size that the part claims, after it unpacked all of it.
            claimed, each.file_size = each.file_size, sys.maxsize
            began = unpacked
            with parts.open(each) as part:
                while piece := part.read(PIECE):
                    unpacked += len(piece)
                    if unpacked > UNPACKED_MAX:
                        raise InvalidInput(f"The file unpacks to more than {UNPACKED_MAX // 2**20} MB. Split it.")
            if unpacked - began != claimed:
                raise InvalidInput("The file is damaged: a part of it has another size than it says.")


def _build_dataset(names: Sequence[Any], rows: Iterable[Sequence[Any]], *, escaped: bool = True) -> Dataset:
    headers = _trim(names)
    if len(headers) > COLUMNS_MAX:
        raise InvalidInput(f"The file has more than {COLUMNS_MAX} columns.")
    dataset = Dataset(headers=headers)
    for number, row in enumerate(islice(rows, ROWS_MAX + 1), 1):
        if number > ROWS_MAX:
            raise InvalidInput(f"The file has more than {ROWS_MAX:,} rows; blank ones count. Split it.")
        cells = [_read_cell(cell, escaped=escaped) for cell in _trim(row)]
        if len(cells) > len(headers):
            raise InvalidInput(f"Row {number} has more cells than there are column names in the first line.")
        dataset.append([*cells, *[None] * (len(headers) - len(cells))])
    return dataset


def _trim(cells: Sequence[Any]) -> list[Any]:
    """The cells without the empty ones at the end."""
    filled = [place for place, cell in enumerate(cells, 1) if cell not in (None, "")]
    return list(cells[: filled[-1]]) if filled else []


def _read_cell(cell: Any, *, escaped: bool) -> Any:
    if not isinstance(cell, str):
        return cell
    # Postgres holds neither NUL nor half a surrogate pair.
    text = cell.replace("\x00", "").encode(errors="replace").decode()
    return text[1:] if escaped and text.startswith("'") and FORMULA.match(text) else text


def _write_rows(dataset: Dataset) -> Dataset:
    return Dataset(*[[_write_cell(cell) for cell in row] for row in dataset], headers=dataset.headers)


def _write_cell(cell: Any) -> Any:
    if isinstance(cell, dict | list):
        return json.dumps(cell, ensure_ascii=False)
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell
