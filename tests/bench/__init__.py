"""The speed of invsync, each measurement beside its peer in one run: `python -m tests.bench`.

measure      what a fresh process took: wall, CPU, memory, and a digest of what it made
world        a HotWax and a shop of any size, made up
in_pandas    the peer: the same mapping, targets and differences in pandas
in_duckdb    the same in the SQL of DuckDB
in_msgspec   the peer of a bulk query's answer
environments an environment of invsync's dependencies alone, and whether packages are compiled
SUBJECTS     one module each, with prepare, VARIANTS, digest and TARGETS
"""

SUBJECTS = [
    "variances",
    "plan",
    "adjustments",
    "levels",
    "upload",
    "events",
    "nochange",
    "hardsync",
    "commands",
    "start",
    "pacing",
    "idle",
    "index",
]
