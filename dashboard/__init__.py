"""What an operator looks at: a live page, health and metrics."""
