"""What operators watch a running workbench by: readiness, metrics, structured logs."""
