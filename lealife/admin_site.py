"""The admin site: an index by what people come to do, not by app."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.admin import AdminSite
from django.db import DatabaseError
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from lealife.dashboard.readings import take_vitals
from lealife.dashboard.training.headline import build_headline_panel

# Each job with its models, in the order in which they are needed. What stands in none of them is internal.
JOBS: Mapping[str, tuple[str, ...]] = {
    "Run it": ("Host", "TrainingSource", "Campaign", "TaskDefinition", "RuntimeSettings", "Coordinator"),
    "Questions and answers": ("Run", "OperatorVerdict"),
    "What it knows": ("MemoryItem", "CurriculumTask", "FrontierPage", "IndexedPage", "IndexedPassage"),
    "What is trusted": (
        "ModelTag",
        "PromotionWindow",
        "Evaluation",
        "Canary",
        "LiveApply",
        "ReserveMeasurement",
        "Watch",
        "GateDrill",
    ),
    "Evidence": ("TrainingOutcome", "TrainingCycle", "OutcomeSeal", "ChainCheck", "AuditEntry"),
    "People and keys": ("User", "Group", "ApiKey"),
}
INTERNALS = "Internals"
log = logging.getLogger(__name__)


class LeaLifeAdminSite(AdminSite):
    """Admin with the index by job. Internal tables are listed for superusers alone."""

    site_header = site_title = "LeaLife"
    index_title = "What would you like to do?"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The index under the dashboard's headline."""
        try:
            headline = build_headline_panel(take_vitals(now=timezone.now()))
        except DatabaseError:
            # Staff must reach what they can still mend.
            log.exception("admin's index has no headline")
            headline = None
        return super().index(request, {"headline": headline, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """One entry a job instead of one an app; the page of a single app stays as Django has it."""
        found = super().get_app_list(request, app_label)
        if app_label is not None:
            if not request.user.is_superuser:
                listed = {name for names in JOBS.values() for name in names}
                for app in found:
                    app["models"] = [model for model in app["models"] if model["object_name"] in listed]
            return found
        models = {model["object_name"]: model for app in found for model in app["models"]}
        jobs = {job: [models.pop(name) for name in names if name in models] for job, names in JOBS.items()}
        if request.user.is_superuser:
            jobs[INTERNALS] = sorted(models.values(), key=lambda model: str(model["name"]))
        return [
            {
                "name": job,
                "app_label": _name_anchor(job),
                "app_url": f"#{_name_anchor(job)}",
                "has_module_perms": True,
                "models": rows,
            }
            for job, rows in jobs.items()
            if rows
        ]


def _name_anchor(job: str) -> str:
    return job.lower().replace(" ", "-")
