"""Pairs, arms, frozen pages and applies are added, never edited."""

from django.db import migrations

from lealife.core.append_only import guard_tables


class Migration(migrations.Migration):
    dependencies = [("promotion", "0001_initial"), ("training", "0002_append_only")]

    operations = guard_tables(
        "promotion_evaluationtask",
        "promotion_evaluationarm",
        "promotion_evaluationpair",
        "promotion_frozenpage",
        "promotion_liveapply",
    )
