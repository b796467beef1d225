"""How many of the arms that were run twice went differently: measured once, then it stands."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotion", "0007_doors_permissions")]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="repeats_differed",
            field=models.PositiveSmallIntegerField(
                blank=True,
                editable=False,
                help_text="Of the arms run twice before the first pair, how many went differently; empty: unmeasured.",
                null=True,
            ),
        ),
        migrations.RunSQL(
            "CREATE TRIGGER measured BEFORE UPDATE ON promotion_evaluation FOR EACH ROW "
            "WHEN (OLD.repeats_differed IS NOT NULL AND NEW.repeats_differed IS DISTINCT FROM OLD.repeats_differed) "
            "EXECUTE FUNCTION lealife_refuse_decided()",
            "DROP TRIGGER measured ON promotion_evaluation",
        ),
    ]
