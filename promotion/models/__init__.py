"""The tables of promotion. Django looks for models here, also for those in modules of their own."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from lealife.core.triggers import fix_columns, fix_once_set, keep_decided, keep_rows, refuse_update
from learning.models import CurriculumTask
from promotion.gate.pairs import PairResult
from promotion.models.freezes import FrozenPage as FrozenPage
from promotion.models.freezes import PageFreeze as PageFreeze
from promotion.models.reserve import ReserveMeasurement as ReserveMeasurement
from promotion.models.tags import Lever as Lever
from promotion.models.tags import ModelTag as ModelTag
from promotion.models.tags import Role as Role
from promotion.models.watches import Watch as Watch
from promotion.models.watches import WatchedRun as WatchedRun
from promotion.models.work import GateDrill as GateDrill
from promotion.models.work import PairWork as PairWork
from training.models import Run


class PromotionWindow(models.Model):
    """The training successes that count, from watermark to watermark + size, and the result."""

    class State(models.TextChoices):
        COLLECTING = "collecting", "collecting"  # → building
        BUILDING = "building", "building"  # → evaluating, rejected (refused before any run), failed
        EVALUATING = "evaluating", "evaluating"  # → canary, rejected, inconclusive, failed
        CANARY = "canary", "canary"  # → applying, rejected
        APPLYING = "applying", "applying"  # → applied, rejected (another tag became active first)
        APPLIED = "applied", "applied"
        REJECTED = "rejected", "rejected"
        INCONCLUSIVE = "inconclusive", "inconclusive"
        HELD = "held", "held"
        FAILED = "failed", "failed"

    CLOSED = (State.APPLIED, State.REJECTED, State.INCONCLUSIVE, State.FAILED)

    number = models.PositiveIntegerField(unique=True)
    watermark = models.PositiveIntegerField(help_text="Ingested successes that counted when it opened.")
    size = models.PositiveIntegerField()
    attempts_before = models.PositiveIntegerField(help_text="Ingested outcomes when it opened.")
    attempts = models.PositiveIntegerField(default=0, help_text="Outcomes that it took, set when it was full.")
    state = models.CharField(max_length=12, choices=State, default=State.COLLECTING)
    reason = models.TextField(blank=True)
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    reached_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [
            ("hold_promotion", "May hold and resume promotion"),
            ("evaluate_now", "May evaluate before a window is full"),
        ]
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="collecting"), name="one_collecting_promotion_window"
            ),
        ]

    def __str__(self) -> str:
        return f"window {self.number}"


class CandidateManager(models.Manager["Evaluation"]):
    """The default manager: evaluations of real candidates. Code that also wants drills must ask for another manager."""

    def get_queryset(self) -> models.QuerySet[Evaluation]:
        """All but drills."""
        return super().get_queryset().filter(drill=False)


class Evaluation(models.Model):
    """Candidate against a fresh run of the active tag, on the same held-out tasks and frozen pages.

    A drill (decision 14) is judged like any other, but belongs to no window and spends no error budget.
    """

    class Verdict(models.TextChoices):
        PENDING = "pending", "pending"
        PROMOTE = "promote", "promote to canary"
        REJECT = "reject", "reject"
        INCONCLUSIVE = "inconclusive", "inconclusive"
        INVALID = "invalid", "invalid"

    class Hypothesis(models.TextChoices):
        BETTER = "better", "better"
        CHEAPER = "cheaper", "not worse and cheaper"

    window = models.OneToOneField(PromotionWindow, on_delete=models.PROTECT, null=True, related_name="evaluation")
    drill = models.BooleanField(default=False, help_text="A test of the gate itself: never leads to a canary.")
    candidate = models.ForeignKey(ModelTag, on_delete=models.PROTECT, related_name="+")
    candidate_digest = models.CharField(max_length=80)
    baseline = models.ForeignKey(ModelTag, on_delete=models.PROTECT, related_name="+")
    baseline_digest = models.CharField(max_length=80)
    candidate_number = models.PositiveIntegerField(help_text="k of the lifetime error budget.")
    alpha = models.FloatField()
    pair_budget = models.PositiveIntegerField()
    seed = models.PositiveBigIntegerField()
    freeze = models.ForeignKey("promotion.PageFreeze", on_delete=models.PROTECT, related_name="+")
    settings_digest = models.CharField(max_length=64, help_text="Digest of its limits; a change closes it as invalid.")
    repeats_differed = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="How many of the arms that ran twice had different results; empty: not measured.",
    )
    verdict = models.CharField(max_length=12, choices=Verdict, default=Verdict.PENDING)
    hypothesis = models.CharField(max_length=8, choices=Hypothesis, blank=True, help_text="Why it was promoted.")
    reason = models.TextField(blank=True)
    wins = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    ties = models.PositiveIntegerField(default=0)
    fewer_calls = models.PositiveIntegerField(default=0, help_text="Pairs that both solved, the candidate cheaper.")
    more_calls = models.PositiveIntegerField(default=0, help_text="Pairs that both solved, the baseline cheaper.")
    e_value = models.FloatField(default=1.0, help_text="For better.")
    e_cheaper = models.FloatField(default=1.0, help_text="For not worse and cheaper.")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)

    objects = CandidateManager()
    every = models.Manager()  # noqa: DJ012  a second manager, no field

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(drill=True, window=None) | Q(drill=False, window__isnull=False),
                name="an_evaluation_has_a_window_or_is_a_drill",
            ),
            models.UniqueConstraint(
                fields=["candidate_number"], condition=Q(drill=False), name="one_candidate_per_number"
            ),
        ]
        triggers = [
            *keep_decided("OLD.verdict <> 'pending'"),
            # What it is measured against is fixed when it opens.
            fix_columns(
                *("window", "drill", "candidate", "candidate_digest", "baseline", "baseline_digest"),
                *("candidate_number", "alpha", "pair_budget", "seed", "freeze", "settings_digest"),
            ),
            # How the engine repeats itself is measured once.
            fix_once_set("repeats_differed"),
        ]

    def __str__(self) -> str:
        return f"evaluation {self.pk}: {self.candidate} against {self.baseline}"


class EvaluationTask(models.Model):
    """One held-out task of an evaluation, with the memory its arms recall. Frozen when the evaluation opens."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="tasks")
    index = models.PositiveIntegerField()
    task = models.ForeignKey(CurriculumTask, on_delete=models.PROTECT, related_name="+")
    memories = models.JSONField(default=list)
    candidate_memories = models.JSONField(null=True, blank=True, help_text="Where the candidate ranks otherwise.")

    class Meta:
        ordering = ["evaluation", "index"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "index"], name="one_task_per_evaluation_index")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.evaluation_id}/{self.index}"


class EvaluationArm(models.Model):
    """The result of one tag on one task. It depends only on its inputs, so their digest is its key. Append-only."""

    inputs_digest = models.CharField(max_length=64, unique=True)
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="+")
    success = models.BooleanField()
    invalid = models.BooleanField(default=False, help_text="The model could not be asked, so this is not evidence.")
    controller_calls = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"arm {self.inputs_digest[:12]}"


class EvaluationPair(models.Model):
    """Both arms on one task. Append-only."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="pairs")
    index = models.PositiveIntegerField()
    candidate_arm = models.ForeignKey(EvaluationArm, on_delete=models.PROTECT, related_name="+")
    baseline_arm = models.ForeignKey(EvaluationArm, on_delete=models.PROTECT, related_name="+")
    candidate_first = models.BooleanField()
    result = models.CharField(max_length=8, choices=[(each.value, each.value) for each in PairResult])
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["evaluation", "index"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "index"], name="one_pair_per_evaluation_index")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.evaluation_id}/{self.index}: {self.result}"


class Canary(models.Model):
    """A trial in which the candidate serves a share of real training runs, until the first sign of harm."""

    class State(models.TextChoices):
        OPEN = "open", "open"  # → passed, aborted
        PASSED = "passed", "passed"  # → aborted, when another tag became active before the apply
        ABORTED = "aborted", "aborted"

    evaluation = models.OneToOneField(Evaluation, on_delete=models.PROTECT, related_name="canary")
    role = models.CharField(max_length=10, choices=Role)
    share_percent = models.PositiveSmallIntegerField()
    ramp_percent = models.PositiveSmallIntegerField(default=0, help_text="Share at first; 0 when it does not ramp.")
    min_observations = models.PositiveIntegerField()
    deadline_at = models.DateTimeField()
    first_outcome_id = models.BigIntegerField(help_text="Outcomes after this one count.")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    reason = models.TextField(blank=True)
    candidate_successes = models.PositiveIntegerField(default=0)
    candidate_observations = models.PositiveIntegerField(default=0)
    baseline_successes = models.PositiveIntegerField(default=0)
    baseline_observations = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("abort_canary", "May abort a canary")]
        ordering = ["-id"]
        verbose_name_plural = "canaries"
        constraints = [
            models.UniqueConstraint(fields=["role"], condition=Q(state="open"), name="one_open_canary_per_role"),
        ]
        triggers = [
            # A canary that passed may still be aborted: another tag can become active before it is applied.
            *keep_decided("OLD.state = 'aborted' OR (OLD.state = 'passed' AND NEW.state <> 'aborted')"),
            # What it was opened under stays. Only its deadline may move, to a later time.
            fix_columns(
                *("evaluation", "role", "share_percent", "ramp_percent"),
                *("min_observations", "first_outcome_id", "opened_at"),
            ),
            refuse_update("deadline_moves_on", when="NEW.deadline_at < OLD.deadline_at"),
        ]

    def __str__(self) -> str:
        return f"canary {self.pk} of {self.evaluation.candidate}"


class LiveApply(models.Model):
    """A switch of the serving tag. A rollback is another row. Append-only."""

    role = models.CharField(max_length=10, choices=Role)
    from_tag = models.ForeignKey(ModelTag, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    from_digest = models.CharField(max_length=80, blank=True)
    to_tag = models.ForeignKey(ModelTag, on_delete=models.PROTECT, related_name="+")
    to_digest = models.CharField(max_length=80)
    canary = models.OneToOneField(Canary, on_delete=models.PROTECT, null=True, blank=True, related_name="apply")
    rolls_back = models.OneToOneField("self", on_delete=models.PROTECT, null=True, blank=True, related_name="rollback")
    after_outcome_id = models.BigIntegerField(default=0, help_text="Outcomes after this one are served by `to_tag`.")
    applied_by = models.CharField(max_length=150)
    reason = models.TextField()
    applied_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        permissions = [
            ("roll_back", "May roll back live tags"),
            ("adopt_digest", "May adopt the digest of a tag whose content is the same"),
        ]
        ordering = ["-id"]
        verbose_name_plural = "live applies"
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.role}: {self.from_tag} → {self.to_tag}"
