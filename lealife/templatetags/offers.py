"""`{% needs "app.permission" %}`: marks parts for readers who have the permission (lealife/dashboard/offers.py).

Only for fragments, which are rendered once for all readers; whole pages use Django's `perms`.
"""

from __future__ import annotations

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.context import Context

register = template.Library()
START, OTHERWISE, END = "<!--needs {}-->", "<!--otherwise-->", "<!--/needs-->"


class NeedsNode(template.Node):
    """The part for readers with the permission, and its replacement for others. Must not be nested."""

    def __init__(self, permission: FilterExpression, offered: NodeList, otherwise: NodeList) -> None:
        self.permission, self.offered, self.otherwise = permission, offered, otherwise

    def render(self, context: Context) -> str:
        """Both parts, between their marks."""
        permission = self.permission.resolve(context)
        others = OTHERWISE + self.otherwise.render(context) if self.otherwise else ""
        return START.format(permission) + self.offered.render(context) + others + END


@register.tag
def needs(parser: Parser, token: Token) -> NeedsNode:
    """`{% needs permission %}offered{% otherwise %}instead{% endneeds %}`; `otherwise` may be left out."""
    permission = parser.compile_filter(token.split_contents()[1])
    offered, otherwise = parser.parse(("otherwise", "endneeds")), NodeList()
    if parser.next_token().contents == "otherwise":
        otherwise = parser.parse(("endneeds",))
        parser.delete_first_token()
    return NeedsNode(permission, offered, otherwise)
