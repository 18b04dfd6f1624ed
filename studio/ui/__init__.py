"""The page: reads and queues, never computes; no torch and no pipeline lives in the web server."""
