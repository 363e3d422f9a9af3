"""The `paraphina` command."""
