from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("learning", "0005_memory_counts"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="memoryitem",
            options={
                "ordering": ["-id"],
                "permissions": [("retire_memory", "May retire memory"), ("purge_memory", "May purge memory")],
            },
        ),
    ]
