"""Forms on a run's page: they shape the input; the actions behind them judge it."""

from __future__ import annotations

from typing import Any

from django import forms


class VerdictForm(forms.Form):
    """“Was this right?”"""

    right = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])
    note = forms.CharField(required=False)


class TrainForm(forms.Form):
    """The check of a training source made of a run; the fields are missing when the run has a check of its own."""

    expected_urls = forms.CharField(required=False, max_length=100_000)
    expected_text = forms.CharField(required=False)

    def read_check(self) -> dict[str, Any] | None:
        """The check as the action takes it; None when the form did not ask for one."""
        if "expected_text" not in self.data:
            return None
        urls = self.cleaned_data["expected_urls"].split()
        text = self.cleaned_data["expected_text"].strip()
        return {name: value for name, value in (("expected_urls", urls), ("expected_text", text)) if value}
