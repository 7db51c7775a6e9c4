"""Bytes at rest: segments by stream and resource name, in memory or on disk.

A new store is one file that satisfies ``base.SegmentStore`` plus one line in ``origin.STORES``;
``tests/store/test_contract.py`` runs over every one.
"""
