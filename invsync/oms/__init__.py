"""HotWax, read through one of several connectors.

To add one: a package here with a `connector.py` that declares `CONNECTOR`, a reader that has the methods of `Source`,
and one line in `invsync/config/connectors.py`.
"""

from invsync.oms.source import Lacking, Source, answers, mapping_rules, open_source

__all__ = ["Lacking", "Source", "answers", "mapping_rules", "open_source"]
