"""How many rows a queryset has, as a column of another query."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, QuerySet, Subquery


class RowCount(Subquery):
    """`Host.objects.annotate(pages=RowCount(Page.objects.filter(host=OuterRef("pk"))[:1001]))`.

    A slice bounds what is counted, and so what counting costs.
    """

    template = "(SELECT count(*) FROM (%(subquery)s) AS counted)"
    output_field = BigIntegerField()

    def __init__(self, rows: QuerySet[Any]) -> None:
        super().__init__(rows.values("pk"))
