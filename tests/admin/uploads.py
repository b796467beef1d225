"""A file of rows, as staff export it, upload it and confirm its import."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.test import Client
from django.urls import reverse

FORMATS = ("csv", "xlsx", "json")


def address(model: type[Model], page: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")


def write_csv(*rows: dict[str, Any]) -> bytes:
    """These rows, with the columns of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def upload(client: Client, model: type[Model], body: bytes, *, suffix: str = "csv") -> Any:
    """The page with the preview, or with what is wrong."""
    sent = {"format": str(FORMATS.index(suffix)), "import_file": SimpleUploadedFile(f"rows.{suffix}", body)}
    return client.post(address(model, "import"), sent)


def confirm(client: Client, model: type[Model], preview: Any) -> list[str]:
    """Imports what was previewed; the messages shown."""
    answer = client.post(address(model, "process_import"), preview.context["confirm_form"].initial, follow=True)
    assert answer.redirect_chain, answer.content
    return [str(message) for message in answer.context["messages"]]


def read_list(answer: Any) -> list[str]:
    """The sentences that the page lists."""
    return [unescape(found) for found in re.findall(r"<li>((?:Row|The) [^<]*)</li>", answer.content.decode())]


def read_heading(answer: Any) -> str:
    """What the page says above them, or above the preview."""
    (found,) = re.findall(r"<h2>([^<]*(?:row|new|file)[^<]*)</h2>", answer.content.decode())
    return str(found)


def export(client: Client, model: type[Model], *, suffix: str = "csv", **narrowed: str) -> Any:
    """The answer to an export of the list."""
    return client.post(address(model, "export"), {"format": str(FORMATS.index(suffix))}, query_params=narrowed or None)
