"""Hosts: the websites that runs may visit."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from training.agent.task import Site


class Host(models.Model):
    """A website that runs may visit."""

    name = models.CharField(max_length=200, unique=True, help_text="What people choose it by, and name in the API.")
    base_url = models.URLField(
        max_length=500, unique=True, help_text="Every run starts here and stays on this host and its aliases."
    )
    aliases = models.JSONField(
        default=list, blank=True, help_text='Other host names of the same site, for example ["www.example.org"].'
    )
    enabled = models.BooleanField(
        "in use",
        default=True,
        editable=False,
        help_text="Off while the host is archived: nothing of it is claimed, asked, read or recalled.",
    )
    politeness_delay_ms = models.PositiveIntegerField(
        default=1000,
        help_text="Shortest time between two requests to this host, over all runs and machines, in milliseconds.",
    )
    may_be_private = models.BooleanField(
        default=False,
        help_text="Allow this host's names to resolve to private or loopback addresses. Cloud metadata stays refused.",
    )
    stay_below_base_path = models.BooleanField(
        default=False,
        help_text="Visit only pages below the path of the base URL, such as /docs/. For a host that others share.",
    )
    seed_curriculum = models.BooleanField(
        default=True, help_text="Crawl this host politely and make verifiable training tasks from its pages."
    )
    last_served_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a training run of this host was last claimed."
    )
    claims = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="Training runs of this host that were ever claimed."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        permissions = [("archive_host", "May archive hosts and bring them back")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def as_site(self) -> Site:
        """The frozen value the agent works on."""
        return Site(
            name=self.name,
            base_url=self.base_url,
            aliases=tuple(self.aliases),
            may_be_private=self.may_be_private,
            politeness_delay_s=self.politeness_delay_ms / 1000,
            stay_below_base_path=self.stay_below_base_path,
        )


class HostTurn(models.Model):
    """When the next page may be requested from a server. Runs on all machines share the row.

    Hosts on one server share it too: `origin` is the name and port of a base address, not a host's row.
    """

    origin = models.CharField(max_length=300, primary_key=True)
    next_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"next turn at {self.origin}"
