"""Fan-in from every connector, last values, resync service, fan-out to every consumer."""
