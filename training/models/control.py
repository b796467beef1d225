"""What steers the loop: settings, coordinator, heartbeats, counters, audit."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from lealife.core.triggers import keep_rows
from training.settings_catalogue import SETTINGS, Setting


def _bounded(setting: Setting) -> dict[str, Any]:
    bounds = [MinValueValidator(setting.least), MaxValueValidator(setting.most)]
    return {"default": setting.default, "validators": bounds, "help_text": setting.hint}


def _whole(name: str) -> models.PositiveIntegerField:
    return models.PositiveIntegerField(**_bounded(SETTINGS[name]))


def _switch(name: str) -> models.BooleanField:
    return models.BooleanField(default=SETTINGS[name].default, help_text=SETTINGS[name].hint)


def _choice(name: str, *, length: int) -> models.CharField:
    setting = SETTINGS[name]
    return models.CharField(max_length=length, choices=setting.choices, default=setting.default, help_text=setting.hint)


class RuntimeSettings(models.Model):
    """The one row of values that every process reads at its next tick. `version` grows with each change."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    # What each means, its unit and its bounds: training/settings_catalogue.py.
    training_max_active_runs = _whole("training_max_active_runs")
    loop_interval_s = models.FloatField(**_bounded(SETTINGS["loop_interval_s"]))
    recent_host_window = _whole("recent_host_window")
    retry_budget = _whole("retry_budget")
    default_pages_target = _whole("default_pages_target")
    curriculum_fallback = _switch("curriculum_fallback")
    source_lane_mode = _choice("source_lane_mode", length=16)
    campaign_lock = _switch("campaign_lock")
    global_max_concurrent_runs = _whole("global_max_concurrent_runs")
    reserved_control_slots = _whole("reserved_control_slots")
    controller_max_calls = _whole("controller_max_calls")
    browser_engine = _choice("browser_engine", length=10)
    browser_headful = _switch("browser_headful")
    browser_autostart = _switch("browser_autostart")
    window_size = _whole("window_size")
    count_supported = _switch("count_supported")
    evaluation_pairs = _whole("evaluation_pairs")
    canary_share_percent = _whole("canary_share_percent")
    canary_min_observations = _whole("canary_min_observations")
    canary_deadline_s = _whole("canary_deadline_s")
    canary_ramp = _switch("canary_ramp")
    hold_back_percent = _whole("hold_back_percent")
    watch_observations = _whole("watch_observations")
    watch_deadline_s = _whole("watch_deadline_s")
    auto_rollback = _switch("auto_rollback")
    lifetime_alpha = models.FloatField(**_bounded(SETTINGS["lifetime_alpha"]))
    drill_every_days = _whole("drill_every_days")
    promotion_hold = _switch("promotion_hold")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        permissions = [
            ("change_settings", "May change the settings of training"),
            ("change_every_setting", "May change the settings of every task and of promotion too"),
        ]
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
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"version {self.version} by {self.changed_by}"


class Coordinator(models.Model):
    """The continuous loop. Enabled: training is allowed. Running: somebody holds a fresh lease and ticks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    enabled = models.BooleanField(default=False)
    enabled_changed_at = models.DateTimeField(null=True, blank=True)
    enabled_changed_by = models.CharField(max_length=150, blank=True)
    # The Stop that a daemon has reversed; empty again with the next Start or Stop by anybody.
    reversed_stop_by = models.CharField(max_length=150, blank=True)
    reversed_stop_at = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=100, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    last_tick_at = models.DateTimeField(null=True, blank=True)
    last_launch_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        permissions = [
            ("start_training", "May start training"),
            ("stop_training", "May stop training"),
        ]
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


class ModelServerFault(models.Model):
    """A model server that failed in a chat lately, noted by the process that asked; gone once it answers a look."""

    host = models.CharField(max_length=300, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host


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
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.subject}"
