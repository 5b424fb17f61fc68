"""The sandbox world at work: the demo and the audit of the metrics."""
