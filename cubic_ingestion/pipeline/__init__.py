"""The platform's verbs, one a module: scan, register, plan; claim, read, convert, write; archive, release.

Every verb is a function of values and ports. The ledger is the only hand-over between the three groups,
so each can crash and be run again alone.
"""
