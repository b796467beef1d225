"""Lists of tables that grow for ever: what paging and searching them costs does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, reduce
from operator import and_, or_
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

# Rows are counted, and so can be paged, as far as this. A filter or a search finds the older ones.
COUNTED = 5_000
# Texts that no index serves are looked for among so many of the newest rows.
LOOKED_AT = 3_000


class BoundedPaginator(Paginator):
    """Pages of the first `COUNTED` rows."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, `COUNTED` at most."""
        rows: Any = self.object_list  # a queryset, in admin
        return int(rows.order_by()[:COUNTED].count())


class LongListAdmin(admin.ModelAdmin):
    """Admin of a table that keeps growing.

    `search_fields` such as "=id" are numbers and need an index. `recent_fields` are texts without one, looked for among
    the newest rows of each of the `parts`.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    recent_fields: tuple[str, ...] = ()
    parts: tuple[Q, ...] = (Q(),)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that have the number; of a text, those that hold all its words. Other `search_fields`: as Django."""
        term = search_term.strip()
        numbers = [name[1:] for name in map(str, self.search_fields) if name.startswith("=")]
        if not (term and numbers) or len(numbers) < len(self.search_fields):
            return super().get_search_results(request, queryset, search_term)
        if term.isdecimal():
            # Django compares "=id" as text, which no index serves.
            return queryset.filter(_join(Q(**{name: term}) for name in numbers)), False
        return queryset.filter(Q(pk__in=self._find_recent(term.split())) | self.find_indexed(term)), False

    def find_indexed(self, term: str) -> Q:
        """The rows that an index finds by this text: none, unless a table has one."""
        return Q(pk__in=())

    def _find_recent(self, words: Iterable[str]) -> list[Any]:
        if not self.recent_fields:
            return []
        rows = self.model._default_manager.order_by("-pk")
        newest = _join(part & Q(pk__gte=_find_floor(rows.filter(part))) for part in self.parts)
        held = reduce(and_, (_join(Q(**{f"{name}__icontains": word}) for name in self.recent_fields) for word in words))
        # A query of its own: with the order and limit of the list, Postgres may walk the whole history for one row.
        return list(rows.filter(newest, held).order_by().values_list("pk", flat=True))

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """The action; not on all rows of a list that is too long to be counted, for the page cannot say how many."""
        if "1" in request.POST.getlist("select_across") and queryset.order_by()[COUNTED:].exists():
            self.message_user(request, f"There are more than {COUNTED:,} rows. Narrow the list first.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)


def _join(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions)


def _find_floor(rows: QuerySet[Any]) -> Any:
    return rows.values_list("pk", flat=True)[LOOKED_AT - 1 : LOOKED_AT].first() or 0
