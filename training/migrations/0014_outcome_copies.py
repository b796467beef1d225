"""An outcome's run, source and host repeat what its cycle and its run say, whose constraints hold for both.

They were three of the eight foreign keys that a cycle has checked, and a twenty-fifth of its time in batches.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0013_few_looks")]

    operations = [
        migrations.AlterField(
            model_name="trainingoutcome",
            name="run",
            field=models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="outcome",
                to="training.run",
            ),
        ),
        migrations.AlterField(
            model_name="trainingoutcome",
            name="source",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="outcomes",
                to="training.trainingsource",
            ),
        ),
        migrations.AlterField(
            model_name="trainingoutcome",
            name="host",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="training.host",
            ),
        ),
    ]
