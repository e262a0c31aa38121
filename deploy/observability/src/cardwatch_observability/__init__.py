"""The monitoring of Cardwatch, generated from code: Grafana dashboards, and the recording rules of the objectives."""
