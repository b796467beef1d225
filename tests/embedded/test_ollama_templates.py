"""Go's templates, as far as model templates use them."""

from __future__ import annotations

from typing import Any

import pytest

from lealife.embedded.ollama.go_template import TemplateError, parse_template

TALK = [{"Role": "user", "Content": "Hi"}, {"Role": "assistant", "Content": "Yes?"}]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ .Prompt }}", "Hi"),
        ("a  {{- .Prompt -}}  b", "aHib"),
        ("{{ if .System }}S{{ else if .Prompt }}P{{ else }}N{{ end }}", "P"),
        ("{{ if and .Prompt (not .System) }}yes{{ end }}", "yes"),
        ('{{ if or (eq .Prompt "Hi" "Ho") .System }}yes{{ end }}', "yes"),
        ("{{ range .Messages }}{{ .Role }}: {{ .Content }};{{ end }}", "user: Hi;assistant: Yes?;"),
        ("{{ range $i, $m := .Messages }}{{ if $i }}, {{ end }}{{ $m.Role }}{{ end }}", "user, assistant"),
        ("{{ range .Messages }}{{ $.Prompt }}{{ break }}{{ end }}", "Hi"),
        ("{{ range .Nothing }}x{{ else }}none{{ end }}", "none"),
        ("{{ with .Prompt }}[{{ . }}]{{ end }}", "[Hi]"),
        ("{{ $last := len .Messages }}{{ $last }}", "2"),
        ("{{ (index .Messages 1).Content }}{{/* a comment */}}", "Yes?"),
        ('{{ printf "%s!" .Prompt | json }}', '"Hi!"'),
    ],
)
def test_a_template_renders_as_go_renders_it(text: str, rendered: str) -> None:
    values: dict[str, Any] = {"Prompt": "Hi", "System": "", "Messages": TALK, "Response": ""}
    assert parse_template(text).render(values) == rendered


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{{ .Prompt", "template: :1: unclosed action"),
        ("a\n{{ if .A }}", "template: :2: unexpected EOF"),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("{{ shout .A }}", 'template: :1: function "shout" not defined'),
        ("{{ }}", "template: :1: missing value for command"),
        ("{{ if }}a{{ end }}", "template: :1: missing value for if"),
        ("{{ (.A }}", "template: :1: unclosed left paren"),
    ],
)
def test_what_is_no_template_is_refused_in_gos_words(text: str, error: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_template(text)
    assert str(refused.value) == error


def test_the_prompt_ends_where_the_answer_begins() -> None:
    template = parse_template("{{ .Prompt }}\n{{ .Response }}<end>\n")
    assert template.render({"Prompt": "Hi", "Response": "Yes?"}) == "Hi\nYes?<end>\n"
    assert template.render({"Prompt": "Hi", "Response": ""}, cut=True) == "Hi\n"
