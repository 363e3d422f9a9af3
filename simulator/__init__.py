"""Five perpetual-futures venues on loopback, read independently from the venue documents, with a truth to compare with.

Nothing of the connectors is imported here, so that one wrong reading of a document cannot pass its own test.

The parts, from pure to shell:

* ``decimals``, ``book``, ``truth``, ``stats``: integer books, seeded random walk, bounded history (pure; time and
  randomness are arguments)
* ``limits``: sliding windows and the ledger of violations (pure)
* ``frames``: what leaves a connection, and the one hook every frame, handshake, answer and close passes through
* ``clock``, ``scheduler``, ``listener``, ``session``, ``venue``: the shell
* ``venues/<venue>/``: ``facts.py`` (numbers with their source), ``messages.py`` (pure rendering), ``rest.py``,
  ``session.py``, ``venue.py``
* ``control``: ``/truth``, ``/state``, ``/faults``; ``server`` puts it together; ``cli`` is ``python -m simulator``

Adding a venue
--------------
1. ``venues/<name>/facts.py``: documented numbers and ``spec(base) -> MarketSpec`` (tick, lot, venue symbol).
2. ``venues/<name>/messages.py``: functions from truth values to ``bytes`` (JSON through ``simulator.decimals.encode``).
3. ``venues/<name>/venue.py``: a ``Venue`` subclass (see ``simulator.venue.Venue``) that

   * sets ``name`` and implements ``spec``, ``install(app)`` (aiohttp routes; ``self.websocket`` is a ready WebSocket
     handler) and ``open_session`` (your ``Session`` subclass),
   * in ``begin`` starts periodic work with ``self.scheduler.every(period_s, callback)``: callbacks step a market
     (``truth.step(self.rng[m], pace, seq=..., now_us=self.clock.now_us())`` returns the ``Version`` with its changes
     and trades) and broadcast frames: build one ``Frame`` and ``session.send(frame)`` it to every subscriber,
   * prints every time through ``self.clock.stamp_us/stamp_ms`` (a clock-skew fault lives there) while ``truth`` keeps
     unskewed times,
   * counts what goes over a limit with ``if self.violation(limit, detail): punish`` (the answer is False under
     ``--limits count``), and scales lifetimes and keepalive periods with ``self.scaled(seconds)``.

   The ``Session`` subclass implements ``opened``, ``received(text or bytes)`` and, if the venue pings, starts timers
   by ``self.after(seconds, callback)`` / ``self.every(seconds, callback)`` (cancelled when the connection ends).
   Frames carry ``kind`` (ack, error, snapshot, delta, bbo, trades, stats, ping, pong, control), ``market`` (ours) and,
   for books, a ``render(bids, asks)`` callable: faults use these to drop, alter or forge without knowing the venue.
4. Register the class in ``venues/__init__.py``.

The truth is answered at ``GET /truth/<venue>/<market>`` as of a native sequence or time: give every ``Version`` the
sequence number that the venue itself prints (``seq``), or set ``native_seq = False`` and be exact in ``ts_ms``.
"""
