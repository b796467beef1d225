from __future__ import annotations

from datetime import timedelta
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone


def find_owners(apps: Any, schema_editor: Any) -> None:
    """Gives each key of before its owner: who made it, or for one from the command line the first superuser."""
    ApiKey, User = apps.get_model("lealife", "ApiKey"), apps.get_model(settings.AUTH_USER_MODEL)
    AuditEntry = apps.get_model("training", "AuditEntry")
    first = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    for key in ApiKey.objects.all():
        made = AuditEntry.objects.filter(action="create api key", subject=f"key {key.name}").order_by("-pk").first()
        if made is not None and made.origin == "cli":
            key.owner, key.ownerless = first, first is None
        else:
            key.owner = User.objects.filter(username=key.created_by).first()
        key.save(update_fields=["owner", "ownerless"])


def in_90_days() -> Any:
    """When keys of before expire."""
    return timezone.now() + timedelta(days=90)


class Migration(migrations.Migration):
    dependencies = [
        ("lealife", "0002_names"),
        ("training", "0015_loop_interval_hint"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "apikey",
            "owner",
            models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("apikey", "ownerless", models.BooleanField(default=False, editable=False)),
        migrations.AddField(
            "apikey", "expires_at", models.DateTimeField(default=in_90_days, editable=False), preserve_default=False
        ),
        migrations.RunPython(find_owners, migrations.RunPython.noop),
    ]
