"""The tables gold.alerts and gold.alert_labels."""
