"""What watches Cardwatch, made from code: Grafana dashboards, and the recording rules of the objectives."""
