"""Admin of users and groups: a manager of users cannot give more rights than their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

# Each of these fields gives permissions. Only superusers, who have all permissions, may give them.
RIGHTS = ("is_superuser", "groups", "user_permissions")


class BoundUserAdmin(UserAdmin):
    """Django's admin of users, except that only superusers may give rights or change a superuser."""

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Adds the rights to the read-only fields, except for superusers."""
        return (*super().get_readonly_fields(request, obj), *(() if request.user.is_superuser else RIGHTS))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuses users with more rights than one's own: setting their password would give those rights."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """The same rule as for changes. In a list too, only superusers may delete superusers."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        """The list, without superusers unless a superuser asks: list actions reach only listed rows."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(is_superuser=False)

    def _may_touch(self, request: HttpRequest, user: User | None) -> bool:
        if user is None or request.user.is_superuser:
            return True
        # Treat the user as active: for an inactive user Django reports no permissions, and a manager could set their
        # password, activate them and so get their rights.
        theirs = User(pk=user.pk).get_all_permissions()
        return theirs <= request.user.get_all_permissions() and not user.is_superuser


class BoundGroupAdmin(GroupAdmin):
    """Groups give permissions, so only superusers may change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers alone."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Superusers alone."""
        return bool(request.user.is_superuser)

    has_delete_permission = has_change_permission


admin.site.unregister([User, Group])
admin.site.register(User, BoundUserAdmin)
admin.site.register(Group, BoundGroupAdmin)
