"""The page's forms: they turn input into Python values; the actions check what is allowed."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from lealife.core.errors import Refused
from lealife.dashboard.ask.check_words import describe_check
from training.definitions import READY, read_state
from training.models import Host, TaskDefinition
from training.tasks import bind_answer, check_success_check

CHECK_FIELDS = ("expected_text", "expected_url", "pattern", "min_pages", "answer_schema", "pages_target")
PATTERN_MAX = 1_000


class ActionForm(forms.Form):
    """Input of an action, which may refuse it."""

    def add_refusal(self, refused: Refused) -> None:
        """Shows a refusal at the field it names, or above the form."""
        field = refused.details.get("field")
        self.add_error(field if field in self.fields else None, str(refused))


class TaskForm(ActionForm):
    """A task on a website, with an optional check of its success."""

    host = forms.ModelChoiceField(
        queryset=Host.objects.filter(enabled=True),
        required=False,
        empty_label="Use the address in the prompt",
        help_text="The website to visit. You can also write its address in the prompt. Staff can add hosts in admin.",
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
        help_text="Optional success check: words that must be in the answer or in one of its quotes.",
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
        help_text="Optional, 1–50. When empty, the default from the runtime settings is used.",
    )

    answer_schema = forms.CharField(
        label="Answer as JSON",
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "code"}),
        help_text="Optional JSON schema that the answer is written to, such as "
        '{"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}',
    )

    def clean_answer_schema(self) -> dict[str, Any] | None:
        """The schema, which must be one that can be used."""
        typed = self.cleaned_data["answer_schema"]
        try:
            schema: dict[str, Any] | None = json.loads(typed) if typed else None
            bind_answer(None, answer_schema=schema)
        except Refused as refused:
            raise forms.ValidationError(str(refused)) from None
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"This is not JSON: {error}.") from None
        return schema

    def clean_expected_url(self) -> str:
        """The address, which must be one of the web."""
        url = self.cleaned_data["expected_url"].strip()
        if url and not url.startswith(("http://", "https://")):
            raise forms.ValidationError("An address must start with http:// or https://.")
        return url

    def read_task(self) -> dict[str, Any]:
        """The cleaned task as the actions take it."""
        return {
            "prompt": self.cleaned_data["prompt"],
            "host": self.cleaned_data["host"],
            "check_spec": self.read_check(),
            "pages_target": self.cleaned_data["pages_target"],
        }

    def read_check(self) -> dict[str, Any]:
        """The success check as typed, without the parts that are empty."""
        text, url = self.cleaned_data["expected_text"].strip(), self.cleaned_data["expected_url"]
        parts = {"expected_text": text, "expected_urls": [url] if url else []}
        given = {name: part for name, part in parts.items() if part}
        return bind_answer(given, answer_schema=self.cleaned_data["answer_schema"])


class AskForm(TaskForm):
    """The box on the dashboard: a question and a website. It posts to the page of a new task, which explains more."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields = {name: self.fields[name] for name in ("prompt", "host")}
        self.fields["prompt"].label, self.fields["host"].label = "Ask a question", "Website"
        self.fields["host"].empty_label = "Named in the question"
        # On one line Enter sends it.
        self.fields["prompt"].widget = forms.TextInput(attrs={"autocomplete": "off"})
        for field in self.fields.values():
            field.help_text = ""


class QueueForm(TaskForm):
    """A training task, once or as a campaign of `size` runs."""

    title = forms.CharField(max_length=200, help_text="The name that lists show.")
    pattern = forms.CharField(
        label="Pattern",
        max_length=PATTERN_MAX,
        required=False,
        strip=False,
        help_text=r"A regular expression that must match in the answer or in one of its quotes, such as v\d+\.\d+",
    )
    min_pages = forms.IntegerField(
        label="Minimum pages",
        min_value=1,
        max_value=50,
        required=False,
        help_text="The run must read at least this many pages, 1–50.",
    )
    size = forms.IntegerField(
        label="Campaign Size",
        min_value=1,
        max_value=10_000,
        required=False,
        initial=10,
        help_text="Campaign Size creates that many queued training runs from the task definition above.",
    )

    field_order = (
        *("title", "host", "prompt", "expected_text", "expected_url", "pattern", "min_pages", "pages_target"),
        *("answer_schema", "size"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # On this form the check has its own heading, so its fields need not repeat “Optional success check”.
        super().__init__(*args, **kwargs)
        self.fields["prompt"].help_text = "This prompt is what the LLM follows during training execution."
        self.fields["expected_text"].help_text = "Words that must be in the answer or in one of its quotes."
        self.fields["expected_url"].help_text = "The address of the page that must be visited and quoted."
        self.fields["pages_target"].help_text = "How many to read, 1–50. When empty, the runtime settings’ default."

    def clean_pattern(self) -> str:
        """The regular expression, which must be one."""
        pattern: str = self.cleaned_data["pattern"]
        if pattern:
            try:
                check_success_check({"pattern": pattern})
            except Refused as refused:
                raise forms.ValidationError(str(refused)) from None
        return pattern

    def read_check(self) -> dict[str, Any]:
        """The success check as typed, without the parts that are empty."""
        more = {name: self.cleaned_data[name] for name in ("pattern", "min_pages")}
        return super().read_check() | {name: part for name, part in more.items() if part}

    def say_check(self) -> tuple[str, ...]:
        """How a run would be judged, as typed; what is wrong with the typed check, when it cannot be used."""
        if not self.is_bound:
            return describe_check({}, pages_target=None)
        wrong = [f"{self.fields[name].label}: {error}" for name in CHECK_FIELDS for error in self.errors.get(name, ())]
        if wrong:
            return tuple(wrong)
        return describe_check(self.read_check(), pages_target=self.cleaned_data["pages_target"])


class DefinitionSelect(forms.Select):
    """Saved definitions by title. One that is not ready cannot be chosen, and its option shows the reason."""

    def create_option(self, name: str, value: Any, label: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One option, as Django draws it."""
        option = super().create_option(name, value, label, *args, **kwargs)
        row: TaskDefinition | None = getattr(value, "instance", None)
        if row is not None and (state := read_state(row)) != READY:
            option["label"] = f"{label} ({state})"
            option["attrs"]["disabled"] = True
        return option


class PresetForm(ActionForm):
    """A saved task definition, once or as a campaign."""

    definition = forms.ModelChoiceField(
        label="Saved definition",
        queryset=TaskDefinition.objects.select_related("host"),
        empty_label="Choose a definition",
        widget=DefinitionSelect,
    )
    size = forms.IntegerField(label="Runs", min_value=1, max_value=10_000, initial=1)

    def __init__(self, *args: Any) -> None:
        # The queue form on the same page has a size field too: ids must differ.
        super().__init__(*args, auto_id="preset_%s")
