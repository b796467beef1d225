"""A Stop that a daemon has reversed is kept beside the coordinator; one setting gets its explanation."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0004_task_definitions")]

    operations = [
        migrations.AddField(
            model_name="coordinator",
            name="reversed_stop_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="coordinator",
            name="reversed_stop_by",
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AlterField(
            model_name="runtimesettings",
            name="browser_engine",
            field=models.CharField(
                choices=[("http", "http"), ("chromium", "chromium")],
                default="http",
                help_text="What fetches pages: a plain HTTP client, or a Chromium that runs the pages' scripts.",
                max_length=10,
            ),
        ),
    ]
