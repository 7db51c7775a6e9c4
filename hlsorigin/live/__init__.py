"""The running streams: the only place that owns stream state and waits.

Everything runs in one event loop. The rule that makes locks needless: no ``await`` between reading
and writing the same object's fields. Samples are taken synchronously (``Publisher.write``); what
comes out is committed by one task per stream, always in this order: bytes into the store, entry
into the window, playlist version for the players.
"""
