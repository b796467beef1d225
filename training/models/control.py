"""What steers the loop: settings, coordinator, heartbeats, counters, audit."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


def _whole(default: int, least: int, most: int, help_text: str) -> models.PositiveIntegerField:
    return models.PositiveIntegerField(
        default=default, validators=[MinValueValidator(least), MaxValueValidator(most)], help_text=help_text
    )


class RuntimeSettings(models.Model):
    """The one row of values that every process reads at its next tick. `version` grows with each change."""

    class LaneMode(models.TextChoices):
        HYBRID = "hybrid", "Hybrid"
        QUEUED_ONLY = "queued_only", "Queued Only"
        AUTOMATIC_ONLY = "automatic_only", "Automatic Only"

    class Engine(models.TextChoices):
        HTTP = "http", "http"
        CHROMIUM = "chromium", "chromium"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    # Training only.
    training_max_active_runs = _whole(
        2, 0, 1000, "Training-only cap: limits active training cycles, not total runtime runs."
    )
    loop_interval_s = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.05), MaxValueValidator(3600)],
        help_text="Delay between scheduler ticks when capacity is available.",
    )
    recent_host_window = _whole(2, 0, 1000, "Host dedupe window used to diversify training source selection.")
    retry_budget = _whole(3, 1, 100, "Max failed attempts allowed per training source before disablement.")
    default_pages_target = _whole(3, 1, 50, "Default page-count target only when prompt does not explicitly set one.")
    curriculum_fallback = models.BooleanField(
        default=True, help_text="Whether curriculum sources are allowed when operator queue is empty."
    )
    source_lane_mode = models.CharField(
        max_length=16,
        choices=LaneMode,
        default=LaneMode.HYBRID,
        help_text="Hybrid = queue first then curriculum fallback. Queued Only = queue only. "
        "Automatic Only = curriculum only.",
    )
    campaign_lock = models.BooleanField(
        default=False, help_text="When enabled, campaign queue selection is locked to keep training intake stable."
    )
    # Every task.
    global_max_concurrent_runs = _whole(
        4, 1, 1000, "Hard upper limit for all simultaneously running runs in the system."
    )
    reserved_control_slots = _whole(
        1, 0, 1000, "Slots reserved for non-training control-plane work (self-improve/model-promotion/canary)."
    )
    controller_max_calls = _whole(5, 1, 100, "How many controller-model URL-pick calls are allowed per run.")
    browser_engine = models.CharField(max_length=10, choices=Engine, default=Engine.HTTP)
    browser_headful = models.BooleanField(
        default=False, help_text="Whether browser sessions render with visible UI windows."
    )
    browser_autostart = models.BooleanField(
        default=False, help_text="Whether browser sessions are auto-launched for run execution."
    )
    # Promotion.
    window_size = _whole(30, 2, 10_000, "Ingested training successes between two evaluations.")
    evaluation_pairs = _whole(60, 4, 5000, "Most pairs one evaluation may spend.")
    canary_share_percent = _whole(20, 1, 90, "Share of training runs that a canary serves, in percent.")
    canary_min_observations = _whole(20, 1, 10_000, "Outcomes needed in both arms before a canary may pass.")
    canary_deadline_s = _whole(3600, 10, 604_800, "A canary without its observations by then is aborted, in seconds.")
    promotion_hold = models.BooleanField(default=False, help_text="While on, nothing is evaluated or applied.")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        verbose_name = "runtime settings"
        verbose_name_plural = "runtime settings"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_row_of_runtime_settings")]

    def __str__(self) -> str:
        return f"runtime settings, version {self.version}"


class RuntimeSettingsChange(models.Model):
    """Who changed what when. Append-only."""

    version = models.PositiveIntegerField(unique=True)
    changes = models.JSONField(help_text="{field: [old, new]}")
    changed_by = models.CharField(max_length=150)
    changed_from = models.CharField(max_length=40)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"version {self.version} by {self.changed_by}"


class Coordinator(models.Model):
    """The continuous loop. Enabled: training is allowed. Running: somebody holds a fresh lease and ticks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    enabled = models.BooleanField(default=False)
    enabled_changed_at = models.DateTimeField(null=True, blank=True)
    enabled_changed_by = models.CharField(max_length=150, blank=True)
    holder = models.CharField(max_length=100, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    last_tick_at = models.DateTimeField(null=True, blank=True)
    last_launch_at = models.DateTimeField(null=True, blank=True)
    last_swept_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "coordinator"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_row_of_coordinator")]

    def __str__(self) -> str:
        return "enabled" if self.enabled else "stopped"


class WorkerHeartbeat(models.Model):
    """Written by the work itself: what each worker process last did."""

    name = models.CharField(max_length=100, primary_key=True)
    last_beat_at = models.DateTimeField()
    doing = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CounterSlot(models.Model):
    """One of 16 parts of a counter: writers take different slots and never wait for each other."""

    name = models.CharField(max_length=60)
    slot = models.PositiveSmallIntegerField()
    count = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "slot"], name="one_row_per_counter_slot")]

    def __str__(self) -> str:
        return f"{self.name}/{self.slot}"


class AuditEntry(models.Model):
    """What a person or a key changed. Append-only."""

    actor = models.CharField(max_length=150)
    origin = models.CharField(max_length=40, help_text="page, api, admin, cli, …")
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.subject}"
