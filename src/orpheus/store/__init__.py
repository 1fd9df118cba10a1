"""The store: SQLite with one writer that commits in groups, and readers beside it.

lock.py         who holds the data directory?
database.py     how is the file opened and brought up to date?      migrations/*.sql
store.py        the open file: begin, commit, rollback, checkpoint
writer.py       a process that writes large transactions            writer_process.py: its side
in_flight.py    what was handed to it and is not on the disk yet
write_ahead.py  how long is the write-ahead log?
library.py      what is set in SQLite for the whole process
transaction.py  load what a decision needs, write what it decided   queries/*.sql
unit.py         many operations, one commit (R3)                    usual_rows.py, usual_changes.py: the short ways
wide_inserts.py how do hundreds of new rows reach the file?
reader.py       what the API shows, beside the writer
"""

from orpheus.store.applied import Applied
from orpheus.store.errors import CommitFailed, DataInUse, DataNewer, DataUnusable, GuardFailed
from orpheus.store.ready import ReadyRow
from orpheus.store.store import Store
from orpheus.store.transaction import Transaction
from orpheus.store.view import StoreView

__all__ = [
    "Applied",
    "CommitFailed",
    "DataInUse",
    "DataNewer",
    "DataUnusable",
    "GuardFailed",
    "ReadyRow",
    "Store",
    "StoreView",
    "Transaction",
]
