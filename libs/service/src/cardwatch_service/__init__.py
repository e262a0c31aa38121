"""What every Cardwatch service shares: settings, logging, metrics and health endpoint, shutdown."""
