from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0015_loop_interval_hint"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="campaign",
            options={
                "ordering": ["-id"],
                "permissions": [("manage_campaign", "May queue, requeue and cancel campaigns")],
            },
        ),
        migrations.AlterModelOptions(
            name="coordinator",
            options={
                "permissions": [("start_training", "May start training"), ("stop_training", "May stop training")],
                "verbose_name_plural": "coordinator",
            },
        ),
        migrations.AlterModelOptions(
            name="operatorverdict",
            options={"ordering": ["-id"], "permissions": [("give_verdict", "May judge answers")]},
        ),
        migrations.AlterModelOptions(
            name="run",
            options={"ordering": ["-id"], "permissions": [("ask", "May ask questions and repeat runs")]},
        ),
        migrations.AlterModelOptions(
            name="runtimesettings",
            options={
                "permissions": [
                    ("change_settings", "May change the settings of training"),
                    ("change_every_setting", "May change the settings of every task and of promotion too"),
                ],
                "verbose_name": "runtime settings",
                "verbose_name_plural": "runtime settings",
            },
        ),
        migrations.AlterModelOptions(
            name="taskdefinition",
            options={
                "ordering": ["title"],
                "permissions": [("manage_definition", "May write, enable and delete task definitions")],
            },
        ),
        migrations.AlterModelOptions(
            name="trainingsource",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("queue_source", "May queue and correct training sources"),
                    ("disable_source", "May disable and enable training sources"),
                    ("cancel_source", "May cancel training sources"),
                ],
            },
        ),
    ]
