"""The table of verifiable tasks."""

from __future__ import annotations

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5, Now, Upper

from training.models import Host, OperatorVerdict, TrainingSource


class CurriculumTaskQuerySet(models.QuerySet["CurriculumTask"]):
    def asked(self) -> CurriculumTaskQuerySet:
        """Whose page is there and is the only one that answers, and whose verdict still counts."""
        return self.filter(ambiguous=False, gone_at=None, replaced_at=None)

    def cases(self) -> CurriculumTaskQuerySet:
        """Questions that people judged, by the verdicts that count."""
        return self.filter(kind=CurriculumTask.Kind.PERSON, replaced_at=None)

    def held_out(self) -> CurriculumTaskQuerySet:
        """What is never trained on: what candidates are judged by, and the reserve."""
        return self.exclude(split=CurriculumTask.Split.TRAIN).filter(replaced_at=None)

    def unmastered(self) -> CurriculumTaskQuerySet:
        """Training tasks of enabled hosts that are asked and not mastered yet."""
        asked = self.asked().filter(split=CurriculumTask.Split.TRAIN, host__enabled=True)
        return asked.filter(streak__lt=CurriculumTask.MASTERED)

    def seeded(self) -> CurriculumTaskQuerySet:
        """Made from pages, not from what people judged."""
        return self.exclude(kind=CurriculumTask.Kind.PERSON)


class CurriculumTask(models.Model):
    """A verifiable task: a question made from a page that answers it, or a case: a question that a person judged."""

    class Kind(models.TextChoices):
        SAYS = "says", "says"  # which page says this, word for word
        HEADING = "heading", "heading"  # what stands under a heading
        DEFINITION = "definition", "definition"  # what an option, a name or a term means
        VALUE = "value", "value"  # a default, a limit, a cell of a table
        HOW = "how", "how"  # how something is done
        WHERE = "where", "where"  # two things of which one section speaks
        PERSON = "person", "person"  # checked by a person: from a verdict, or imported

    class Split(models.TextChoices):
        TRAIN = "train", "train"
        EVALUATION = "evaluation", "evaluation"  # held out: candidates are judged by it
        RESERVE = "reserve", "reserve"  # held out too, and used for no decision: it measures what an apply was worth

    # So many successes in a row, and there is nothing more to learn from a task.
    MASTERED = 3

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SAYS, db_default=Kind.SAYS)
    split = models.CharField(max_length=10, choices=Split)
    expected_url = models.TextField()
    page_digest = models.CharField(max_length=64, help_text="sha256 of the URL; decides the split.")
    passage = models.TextField(blank=True, help_text="The words of the page that answer; a case may have none.")
    claim = models.JSONField(
        default=dict,
        blank=True,
        help_text="What makes a page right. Another page that is right too makes it ambiguous.",
    )
    prompt = models.TextField()
    check_spec = models.JSONField(default=dict)
    source = models.OneToOneField(
        TrainingSource,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The training source made from it; none for held-out tasks.",
    )
    verdict = models.ForeignKey(
        OperatorVerdict,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The verdict that a case comes from; an imported one has none.",
    )
    replaced_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when a later verdict has taken the place of the case’s own."
    )
    ambiguous = models.BooleanField(
        default=False, help_text="Several pages have this content, so it is not asked any more."
    )
    gone_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its page does not have this content any more."
    )
    attempts = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    streak = models.PositiveIntegerField(default=0, help_text="Successes in a row; mastered tasks rest longer.")
    difficulty = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="The place of its page among 50 that words alone find, or 51. Empty until measured.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = CurriculumTaskQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "page_digest", "kind", "passage"],
                condition=~Q(kind="person"),
                name="one_task_per_passage",
            ),
            # Of the question's digest: an index holds no text of any length.
            models.UniqueConstraint(
                "host",
                MD5(Upper("prompt")),
                condition=Q(kind="person", replaced_at=None),
                name="one_case_per_question",
            ),
            models.CheckConstraint(condition=Q(kind="person") | Q(verdict=None), name="only_cases_come_from_a_verdict"),
            models.CheckConstraint(condition=Q(split="train") | Q(source=None), name="held_out_tasks_are_never_queued"),
        ]
        indexes = [
            models.Index(fields=["host", "split", "id"], name="curriculum_of_host"),
            # Ingest asks for the tasks of each page that a run saw.
            HashIndex(fields=["expected_url"], name="curriculum_of_page"),
            # What every page and every turn of the loop asks for: whether anything is left to learn, or to measure.
            models.Index(
                fields=["host"],
                condition=Q(split="train", streak__lt=3, ambiguous=False, gone_at=None, replaced_at=None),
                name="curriculum_unmastered",
            ),
            models.Index(
                fields=["id"],
                condition=Q(difficulty=None, ambiguous=False, gone_at=None, replaced_at=None),
                name="curriculum_unmeasured",
            ),
        ]

    def __str__(self) -> str:
        return self.prompt[:80]
