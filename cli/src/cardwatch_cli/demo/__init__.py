"""The whole line on one machine: started, fed, watched, drained and checked against the oracle."""
