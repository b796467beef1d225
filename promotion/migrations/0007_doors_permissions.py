from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("promotion", "0006_terms_are_kept"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="canary",
            options={
                "ordering": ["-id"],
                "permissions": [("abort_canary", "May abort a canary")],
                "verbose_name_plural": "canaries",
            },
        ),
        migrations.AlterModelOptions(
            name="gatedrill",
            options={"ordering": ["-id"], "permissions": [("drill_gate", "May drill the gate")]},
        ),
        migrations.AlterModelOptions(
            name="liveapply",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("roll_back", "May roll back live tags"),
                    ("adopt_digest", "May adopt the digest of a tag whose content is the same"),
                ],
                "verbose_name_plural": "live applies",
            },
        ),
        migrations.AlterModelOptions(
            name="modeltag",
            options={
                "ordering": ["-id"],
                "permissions": [("pin_tag", "May pin tags"), ("prune_tags", "May prune tags")],
            },
        ),
        migrations.AlterModelOptions(
            name="promotionwindow",
            options={
                "ordering": ["-number"],
                "permissions": [
                    ("hold_promotion", "May hold and resume promotion"),
                    ("evaluate_now", "May evaluate before a window is full"),
                ],
            },
        ),
    ]
