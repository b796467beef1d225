"""Parts that every page uses dozens of times. They are tags, which cost a fifth of an included template."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from lealife.core.digest import short_digest

register = template.Library()
register.filter(short_digest)

UNKNOWN = SafeString('<span class="unknown">—</span>')
_MARK = '<span class="mark" data-state="{}">{}</span>'
_HINT = (
    '<details class="hint" name="hint"><summary aria-label="What {} means" title="What this means">?</summary>'
    "<p>{}{}</p></details>"
)


@register.simple_tag
def mark(state: str, word: str = "") -> SafeString:
    """A state as a coloured mark, with the state's own word or another."""
    said = word or state.replace("_", " ") or "unknown"
    return format_html(_MARK, state or "unknown", said[:1].upper() + said[1:])


@register.simple_tag
def hint(of: str, text: str, bounds: str = "") -> SafeString:
    """An explanation behind a question mark; the `bounds` of a setting follow in brackets."""
    return format_html(_HINT, of, text, f" ({bounds})" if bounds else "")
