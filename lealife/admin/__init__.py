"""The admin site: its name on every page, and which models it shows. Each module registers its own."""

from __future__ import annotations

from django.contrib import admin

from lealife.admin import hosts, keys, memory, runs, users

__all__ = ["hosts", "keys", "memory", "runs", "users"]

# LeaLife is the last app, so all others have registered their models. Remove those that are not ours: someone who may
# add a schedule of the queue, for example, could run any function with any arguments.
SHOWN = {"training", "learning", "promotion", "lealife", "auth"}
admin.site.unregister([model for model in admin.site._registry if model._meta.app_label not in SHOWN])
