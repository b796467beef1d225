"""Whether data can be written, to the database and to the disk of the data folder."""

from __future__ import annotations

import logging
import shutil

from django.db import DatabaseError, connection, transaction

from lealife.core.places import data_dir

MIB = 1024 * 1024
# PostgreSQL adds to its log in files of 16 MiB: below this the embedded one may stop at any moment.
FULL_BELOW = 32 * MIB
SCARCE_BELOW = 1024 * MIB
log = logging.getLogger(__name__)


def find_database_fault() -> str:
    """Why the database takes no writes, in a sentence; empty when it does. Two statements."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        # The driver's message names server and user: log it, but do not show it to the callers of a probe.
        log.warning("the database does not answer: %s", error)
        return "The database does not answer. See the log for the reason."
    try:
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
            is_standby, is_read_only = cursor.fetchone()
            if is_standby:
                return "The database is a standby: nothing can be written."
            if is_read_only:
                return "The database is read-only: nothing can be written."
            # This writes a small file to the database's disk; it disappears with the transaction.
            cursor.execute("SELECT pg_export_snapshot()")
    except DatabaseError as error:
        connection.close_if_unusable_or_obsolete()
        return f"The database cannot write: {str(error).strip().splitlines()[0][:200]}"
    return ""


def read_free_bytes() -> int:
    """Free bytes on the disk of the data folder."""
    return shutil.disk_usage(data_dir()).free


def find_disk_fault(free: int) -> str:
    """Why work must stop, with `free` bytes left on the data folder's disk; empty while it need not."""
    return f"The disk of {data_dir()} is full: {free // MIB:,} MiB are free." if free < FULL_BELOW else ""


def describe_scarcity(free: int) -> str:
    """A warning that space is scarce, with `free` bytes left on the data folder's disk; empty when it is not."""
    return f"The disk of {data_dir()} is almost full: {free // MIB:,} MiB are free." if free < SCARCE_BELOW else ""
