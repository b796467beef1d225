"""Import and export in admin. Each row goes through the form and the action of the add and change pages."""

from __future__ import annotations

import json
from typing import Any
from zipfile import BadZipFile

from django import forms
from django.contrib import messages
from django.contrib.sessions.models import Session
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DEFAULT_DB_ALIAS, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from import_export import admin as library
from import_export.fields import Field
from import_export.forms import ConfirmImportForm, ExportForm, ImportForm
from import_export.instance_loaders import BaseInstanceLoader
from import_export.resources import Resource
from import_export.results import Error, Result, RowResult
from tablib import Dataset

from lealife.core.errors import Conflict, NotFound, Refused
from lealife.core.sheets import BYTES_MAX, ROWS_MAX, Csv, Json, KeptUpload, Xlsx

FORMATS = (Csv, Xlsx, Json)
UNREADABLE = "The file cannot be read. Is this its format?"
SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class UploadForm(ImportForm):
    """The file and its format."""

    def clean_import_file(self) -> Any:
        """Refuses a file that is too large."""
        upload = self.cleaned_data["import_file"]
        if upload.size > BYTES_MAX:
            raise ValidationError(f"The file is larger than {BYTES_MAX // 2**20} MB. Split it.")
        return upload


class ConfirmForm(ConfirmImportForm):
    """What the preview was of."""

    # There is only one: the admin's own.
    resource = None

    format = forms.ChoiceField(
        choices=[(str(place), place) for place in range(len(FORMATS))], widget=forms.HiddenInput()
    )


class RowResource(Resource):
    """The rows of one admin's model, as its form has them."""

    class Meta:
        using_db = DEFAULT_DB_ALIAS
        instance_loader_class = BaseInstanceLoader
        report_skipped = False

    def __init__(self, *, site: ImportAdmin, request: HttpRequest) -> None:
        super().__init__()
        self.site, self.request, self.form = site, request, site.row_form or site.form
        names = dict.fromkeys([*([site.identity] if site.identity else []), *self.form.base_fields])
        self.fields = {name: Field(attribute=name, column_name=name) for name in names}
        # Rows of other tables, which cells name: read once, not for each row of a file.
        self.rows = {
            name: {row.pk: row for row in field.queryset.all()}  # type: ignore[union-attr]  # a model's field has one
            for name, field in self.form.base_fields.items()
            if isinstance(field, forms.ModelChoiceField)
        }
        self.keys = {name: {str(row): key for key, row in rows.items()} for name, rows in self.rows.items()}

    @classmethod
    def get_display_name(cls) -> str:
        """The library asks for it; there is nothing to choose."""
        return "rows"

    def export_resource(self, instance: Model, selected_fields: Any = None, **kwargs: Any) -> list[Any]:
        """One row of the file."""
        named = {name: rows.get(getattr(instance, f"{name}_id")) for name, rows in self.rows.items()}
        values = {name: row and str(row) for name, row in named.items()}
        return [values[name] if name in values else getattr(instance, name) for name in self.fields]

    def import_data(self, dataset: Dataset, **kwargs: Any) -> Result:
        """Writes all rows, or none when one is refused."""
        names = dataset.headers or []
        strange = [str(name) for name in names if name not in self.fields or names.count(name) > 1]
        if strange:
            result = Result()
            known = ", ".join(self.fields)
            result.append_base_error(
                Error(f"The column “{strange[0]}” is unknown or there twice. Columns are: {known}.")
            )
            return result
        try:
            return super().import_data(dataset, rollback_on_validation_errors=True, **kwargs)
        except OperationalError:
            # Rows of several hosts are locked in the file's order, and another change may lock them in its own.
            result = Result()
            result.append_base_error(Error("Another change of the same rows came first. Try again."))
            return result

    def import_row(self, row: dict[str, Any], instance_loader: Any, **kwargs: Any) -> RowResult:
        """What became of one row: new, changed, skipped because nothing is new in it, or refused by field."""
        result = RowResult()
        try:
            self._write_row(row, result=result)
        except ValidationError as error:
            result.import_type, result.validation_error = RowResult.IMPORT_TYPE_INVALID, error
        except Refused as refused:
            # An action may name a field by the beginning of its column's name: “check”.
            field = refused.details.get("field")
            column = next((name for name in self.fields if field and name.startswith(field)), NON_FIELD_ERRORS)
            result.import_type = RowResult.IMPORT_TYPE_INVALID
            result.validation_error = ValidationError({column: str(refused)})
        return result

    def _write_row(self, row: dict[str, Any], *, result: RowResult) -> None:
        result.import_type = RowResult.IMPORT_TYPE_SKIP
        if all(cell in (None, "") for cell in row.values()):
            return
        found = self.site.find_row(row)
        instance = found or self.site.model()
        if not self.site.may_import(self.request, found):
            verb = "change" if found else "add"
            raise Conflict(f"You may not {verb} {self.site.opts.verbose_name_plural}.")
        before = None if found is None else self.export_resource(found)
        data, errors = self._read_cells(row, instance)
        form = self.form(data, instance=instance)
        for name, rows in self.rows.items():
            if data[name] in rows:
                form.fields[name].clean = rows.get  # type: ignore[method-assign]
        if not errors and found is not None and not form.has_changed():
            return
        if errors or not form.is_valid():
            raise ValidationError({**form.errors.as_data(), **errors})
        self.site.save_model(self.request, form.instance, form, found is not None)
        result.import_type = RowResult.IMPORT_TYPE_UPDATE if found else RowResult.IMPORT_TYPE_NEW
        result.instance = form.instance
        result.add_instance_info(form.instance)
        after = self.export_resource(form.instance)
        result.diff = after if before is None else [*map(_show_change, before, after)]

    def _read_cells(self, row: dict[str, Any], instance: Model) -> tuple[dict[str, Any], dict[str, ValidationError]]:
        """The row as its form is sent, and what of it cannot be read.

        A column that the file lacks keeps its value, and so does an empty cell where a value is needed.
        """
        data, errors = dict[str, Any](), dict[str, ValidationError]()
        kept = model_to_dict(instance, fields=self.form.base_fields)
        for name, field in self.form.base_fields.items():
            # The page sends the old value too where the default is a function.
            data[name] = data[f"initial-{name}"] = field.prepare_value(kept[name])
            needed = field.required or isinstance(field, forms.JSONField | forms.BooleanField)
            if name not in row or (needed and row[name] in (None, "")):
                continue
            try:
                data[name] = self._read_cell(name, row[name])
            except ValidationError as error:
                data[name], errors[name] = "", error
        return data, errors

    def _read_cell(self, name: str, cell: Any) -> Any:
        field: Any = self.form.base_fields[name]
        if isinstance(field, forms.JSONField):
            return cell if isinstance(cell, str) else json.dumps(cell)
        text = "" if cell is None else str(cell).strip()
        if isinstance(field, forms.BooleanField):
            if text.lower() not in SWITCH:
                raise ValidationError(f"Write true or false, not “{text[:100]}”.")
            return SWITCH[text.lower()]
        if not text or name not in self.keys:
            return text
        if text not in self.keys[name]:
            raise ValidationError(f"There is no {field.queryset.model._meta.verbose_name} “{text[:100]}”.")
        return self.keys[name][text]


class ImportAdmin(library.ImportExportMixin):
    """Admin with import and export. Who may add rows may import them; exporting needs Django's permission to view.

    `identity` is the column by which a row of a file finds its row in the table. `row_form` is the form of a row, where
    it is not the one of the add page.
    """

    identity = ""
    row_form: type[forms.ModelForm] | None = None
    formats = FORMATS
    resource_classes = (RowResource,)
    tmp_storage_class = KeptUpload
    import_form_class, confirm_form_class, export_form_class = UploadForm, ConfirmForm, ExportForm
    import_template_name = "admin/import_preview.html"

    def may_import(self, request: HttpRequest, found: Model | None = None) -> bool:
        """Whether this person may change the row that was found, or add one."""
        if found is None:
            return bool(self.has_add_permission(request))
        return bool(self.has_change_permission(request, found))

    def has_import_permission(self, request: HttpRequest) -> bool:
        """Who may add rows."""
        return self.may_import(request)

    def find_row(self, row: dict[str, Any]) -> Model | None:
        """The row in the table that a row of a file means; None for a new one. Raises NotFound for a wrong id."""
        key = str(row.get(self.identity) or "").strip()
        if not key:
            return None
        by_id = self.identity == "id"
        is_number = key.isascii() and key.isdecimal() and len(key) < 19
        found = None if by_id and not is_number else self.model.objects.filter(**{self.identity: key}).first()
        if found is None and by_id:
            name = self.opts.verbose_name
            raise NotFound(f"There is no {name} {key[:100]}. Leave the id empty to add one.", field="id")
        return found

    def get_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """What the resource is made of."""
        return {"site": self, "request": request}

    def get_import_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The bounds that the page names."""
        return {"megabytes": BYTES_MAX // 2**20, "rows": ROWS_MAX}

    def add_data_read_fail_error_to_form(self, form: forms.Form, error: Exception) -> None:
        """Says why a file cannot be read."""
        form.add_error("import_file", str(error) if isinstance(error, Refused) else UNREADABLE)

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Imports the file that was previewed. It is checked again: rows may have changed since."""
        try:
            with transaction.atomic():
                # Sent twice, the second request finds the file gone.
                list(Session.objects.select_for_update().filter(pk=request.POST.get("import_file_name", "")))
                return super().process_import(request, **kwargs)
        except (Refused, ValueError, BadZipFile) as error:
            said = str(error) if isinstance(error, Refused) else UNREADABLE
            self.message_user(request, said, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:{}_{}_import".format(*self.get_model_info())))

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        """Says what was imported. Raises Conflict when a row was refused since the preview."""
        if result.has_errors() or result.has_validation_errors():
            raise Conflict("Nothing was imported: rows have changed since the preview. Upload the file again.")
        return super().process_result(result, request)

    def get_data_for_export(self, request: HttpRequest, queryset: QuerySet[Any], **kwargs: Any) -> Dataset:
        """The rows of the list. Raises ValueError for too many, which the page shows."""
        if (count := queryset.count()) > ROWS_MAX:
            raise ValueError(f"The list has {count:,} rows and an export at most {ROWS_MAX:,}. Filter the list first.")
        return super().get_data_for_export(request, queryset, **kwargs)


def _show_change(before: Any, after: Any) -> Any:
    return after if before == after else format_html("<del>{}</del> <ins>{}</ins>", before, after)
