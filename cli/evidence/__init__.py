"""What the artefacts of a run say: pure analysis of telemetry, logs and faults, and of two runs side by side."""
