"""The page's forms: they shape the input; the verbs behind them judge it."""

from __future__ import annotations

from typing import Any

from django import forms

from lealife.lib.errors import Refused
from training.definitions import READY, read_state
from training.models import Host, TaskDefinition


class VerbForm(forms.Form):
    """Input of a verb, which may refuse it."""

    def add_refusal(self, refused: Refused) -> None:
        """Shows a refusal at the field it names, or above the form."""
        field = refused.details.get("field")
        self.add_error(field if field in self.fields else None, str(refused))


class TaskForm(VerbForm):
    """A task on a website, with an optional check of its success."""

    host = forms.ModelChoiceField(
        queryset=Host.objects.filter(enabled=True),
        required=False,
        empty_label="As the prompt's address says",
        help_text="The website to visit; an address in the prompt names it too. Staff can add hosts in admin.",
    )
    prompt = forms.CharField(
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="This prompt is what the LLM follows during execution.",
    )
    expected_text = forms.CharField(
        label="Expected text",
        max_length=2_000,
        required=False,
        help_text="Optional success check: words that must be on a visited page or in the answer.",
    )
    expected_url = forms.CharField(
        label="Expected page",
        max_length=2_000,
        required=False,
        help_text="Optional success check: the address of the page that must be visited and quoted.",
    )
    pages_target = forms.IntegerField(
        label="Pages target",
        min_value=1,
        max_value=50,
        required=False,
        help_text="Optional, 1–50. Empty: the default of the runtime settings.",
    )

    field_order = ("title", "host", "prompt", "expected_text", "expected_url", "pages_target", "size")

    def clean_expected_url(self) -> str:
        """The address, which must be one of the web."""
        url = self.cleaned_data["expected_url"].strip()
        if url and not url.startswith(("http://", "https://")):
            raise forms.ValidationError("An address begins with http:// or https://.")
        return url

    def read_task(self) -> dict[str, Any]:
        """The cleaned task as the verbs take it."""
        text, url = self.cleaned_data["expected_text"].strip(), self.cleaned_data["expected_url"]
        return {
            "prompt": self.cleaned_data["prompt"],
            "host": self.cleaned_data["host"],
            "check_spec": {**({"expected_text": text} if text else {}), **({"expected_urls": [url]} if url else {})},
            "pages_target": self.cleaned_data["pages_target"],
        }


class QueueForm(TaskForm):
    """A training task, once or as a campaign of `size` runs."""

    title = forms.CharField(max_length=200, help_text="How the source is listed.")
    prompt = forms.CharField(
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="This prompt is what the LLM follows during training execution.",
    )
    size = forms.IntegerField(
        label="Campaign Size",
        min_value=1,
        max_value=10_000,
        required=False,
        initial=10,
        help_text="Campaign Size creates that many queued training runs from the task definition above.",
    )


class DefinitionSelect(forms.Select):
    """Saved definitions by title; one that is not ready says why, and cannot be chosen."""

    def create_option(self, name: str, value: Any, label: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One option, as Django draws it."""
        option = super().create_option(name, value, label, *args, **kwargs)
        row: TaskDefinition | None = getattr(value, "instance", None)
        if row is not None and (state := read_state(row)) != READY:
            option["label"] = f"{label} ({state})"
            option["attrs"]["disabled"] = True
        return option


class PresetForm(VerbForm):
    """A saved task definition, once or as a campaign."""

    definition = forms.ModelChoiceField(
        label="Saved definition",
        queryset=TaskDefinition.objects.select_related("host"),
        empty_label="Choose a definition",
        widget=DefinitionSelect,
    )
    size = forms.IntegerField(label="Runs", min_value=1, max_value=10_000, initial=1)

    def __init__(self, *args: Any) -> None:
        # It stands beside the queue form, which has a size too.
        super().__init__(*args, auto_id="preset_%s")
