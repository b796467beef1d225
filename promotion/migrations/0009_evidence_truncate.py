"""Evidence is kept against TRUNCATE too."""

from django.db import migrations

from lealife.core.append_only import guard_truncate


class Migration(migrations.Migration):
    dependencies = [("promotion", "0008_ollama_repeatability")]

    operations = guard_truncate(
        "promotion_evaluationtask",
        "promotion_evaluationarm",
        "promotion_evaluationpair",
        "promotion_frozenpage",
        "promotion_liveapply",
        "promotion_watchedrun",
        "promotion_evaluation",
        "promotion_canary",
        "promotion_watch",
    )
