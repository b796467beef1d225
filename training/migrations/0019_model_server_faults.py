"""Model servers that failed in a chat, for health to look at."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0018_evidence_guards")]

    operations = [
        migrations.CreateModel(
            name="ModelServerFault",
            fields=[
                ("host", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
            options={"ordering": ["host"]},
        ),
    ]
