"""Offers: parts of a page that need a permission, removed for readers without it.

A fragment is rendered once for all readers. `{% needs "app.permission" %}…{% otherwise %}…{% endneeds %}` leaves marks
in it, and the parts that a reader may not see are removed before sending. Of several permissions, one is enough.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from lealife.core.actors import Actor, read_actor
from lealife.templatetags.offers import END, OTHERWISE, START

# Text of pages and people is escaped: it holds no `<`, and so no mark.
_OFFER = re.compile(f"{START.format('([a-z_. ]+)')}(.*?)(?:{OTHERWISE}(.*?))?{END}", re.DOTALL)


def cut_offers(html: str, *, reader: Actor) -> str:
    """The HTML without what the reader may not do, and without marks."""
    return _OFFER.sub(lambda found: found[2] if any(map(reader.may, found[1].split())) else found[3] or "", html)


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """A page with fragments in it, as the signed-in reader may see it."""
    html = render_to_string(template, context, request)
    return HttpResponse(cut_offers(html, reader=read_actor(request)), status=status)
