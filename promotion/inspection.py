"""Inspection: compares the tags on the model servers with the registered ones. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from lealife.core.digest import short_digest
from lealife.core.gateway import OllamaPool, TagInfo
from lealife.core.model_names import normalise_name
from promotion.models import ModelTag

INSTALLED, FOREIGN, MISSING, DRIFTED, LEFT_OVER = "installed", "foreign", "missing", "drifted", "left over"
ADVICE = "If its content is the same, register the new digest with: manage.py tags adopt"
ALARMS = (MISSING, DRIFTED)
SERVING = (ModelTag.Status.ACTIVE, ModelTag.Status.CANDIDATE)
# Names of LeaLife's tags. One without a row was made by a process that died before it could register the tag.
OUR_NAMES = ("lealife-controller:", "lealife-task:")


@dataclass(frozen=True, slots=True)
class Finding:
    """One tag on one server. `digest` and `bytes` as the server reports them, "" and 0 where the tag is missing.

    `role` and `status` are "" for a tag without a row.
    """

    server: str
    tag: str
    state: str  # installed | foreign | missing | drifted | left over
    role: str
    status: str
    digest: str
    bytes: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything found, and the servers that did not answer."""

    findings: tuple[Finding, ...]
    away: tuple[str, ...]

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """Tags that were deleted or changed outside LeaLife."""
        return tuple(finding for finding in self.findings if finding.state in ALARMS)

    @property
    def serving_alarms(self) -> tuple[Finding, ...]:
        """The alarms about tags on which runs depend now."""
        return tuple(finding for finding in self.alarms if finding.status in SERVING)


def inspect_tags(*, server: OllamaPool) -> Inspection:
    """For each server of the pool: tags that are installed, missing, or have another digest than the registered one.

    Raises ModelUnavailable when no server answers.
    """
    up = server.is_up()
    installed = server.list_tags()
    rows = {tag.name: tag for tag in ModelTag.objects.order_by("role", "pk")}
    bases = {normalise_name(tag.base) for tag in rows.values() if tag.status != ModelTag.Status.PRUNED}
    answering = sorted(
        {host for host, answers in up.items() if answers} | {h for found in installed.values() for h in found}
    )
    findings = []
    for host in answering:
        for name, tag in rows.items():
            if (finding := _judge_known(tag, host=host, info=installed.get(name, {}).get(host))) is not None:
                findings.append(finding)
        findings += [
            _describe_foreign(name, host=host, info=found[host], is_base=name in bases)
            for name, found in sorted(installed.items())
            if host in found and name not in rows
        ]
    return Inspection(findings=tuple(findings), away=tuple(sorted(set(up) - set(answering))))


def _judge_known(tag: ModelTag, *, host: str, info: TagInfo | None) -> Finding | None:
    what = f"{tag.name}, {tag.status} as {tag.role},"
    pruned = tag.status == ModelTag.Status.PRUNED
    if info is None:
        if pruned:
            return None
        state, sentence = MISSING, f"{what} is missing on {host}: it was deleted outside LeaLife."
    elif info.digest != tag.digest:
        state = FOREIGN if pruned else DRIFTED
        told = f"{short_digest(info.digest)} instead of {short_digest(tag.digest)}"
        sentence = f"{what} has the digest {told} on {host}: it was changed outside LeaLife. {ADVICE}"
    elif pruned:
        state, sentence = LEFT_OVER, f"{tag.name} was pruned but is still on {host}. Prune again."
    else:
        state, sentence = INSTALLED, f"{what} is installed on {host} as registered."
    return Finding(
        server=host,
        tag=tag.name,
        state=state,
        role=tag.role,
        status=tag.status,
        digest=info.digest if info else "",
        bytes=info.size if info else 0,
        sentence=sentence,
    )


def _describe_foreign(name: str, *, host: str, info: TagInfo, is_base: bool) -> Finding:
    if is_base:
        sentence = f"{name} on {host} is the base of registered tags."
    elif name == normalise_name(settings.LEALIFE_EMBED_MODEL):
        sentence = f"{name} on {host} is the model for vectors."
    elif name.startswith(OUR_NAMES):
        sentence = f"{name} on {host} has a name like LeaLife's tags but was never registered. It is unused."
    else:
        sentence = f"{name} on {host} was not made by LeaLife. It is unused."
    return Finding(host, name, FOREIGN, "", "", info.digest, info.size, sentence)
