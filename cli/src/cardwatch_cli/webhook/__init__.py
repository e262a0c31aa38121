"""``cardwatch webhook``: an HTTP server that receives alerts and checks their signatures."""
