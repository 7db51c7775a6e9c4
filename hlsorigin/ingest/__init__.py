"""Sockets to samples: one file per protocol of publishers.

An ingest asks the authorizer, takes a ``Publisher`` from the hub and feeds it. A new ingest is one
file that satisfies ``base.Ingest``; ``origin`` makes it and gives it a socket.
"""
