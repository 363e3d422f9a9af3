"""Listens to supervisord: respawns at once, revives what was given up, ends what hangs."""
