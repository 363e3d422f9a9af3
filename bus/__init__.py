"""The contract between processes: events, wire, sockets, client, settings, counters, errors, log."""
