"""RTMP 1.0 without I/O: bytes in, events and bytes out.

The layers, in the order the bytes travel: ``handshake`` (simple and digest), ``chunk`` (undoes
interleaving, makes timestamps absolute), ``message`` (types, control messages, aggregates),
``amf0`` and ``command`` (what is inside), ``session`` (the server's side of a connection) and
``client`` (a publisher). ``events`` holds what a session tells its shell, ``address`` takes app,
tcUrl and stream key apart, ``capabilities`` what both ends tell of enhanced RTMP, ``limits`` names
every bound.

Rules:

* Timestamps that leave this package are absolute milliseconds modulo 2**32 (RTMP 1.0 section 4).
* A media message's payload is passed on untouched. What is in it is ``flv``'s affair.
* Any split of the incoming bytes gives the same events; those of a call that raises are lost.
* Whatever a peer sends, only ``RtmpError``, ``Amf0Error``, ``Truncated`` and ``LimitExceeded``
  come out.
* A publish is answered only after the shell decided: no Publish.Start before the checks.

May import ``wire`` and ``errors`` only. Start reading at ``session.ServerSession.receive_data``.
"""
