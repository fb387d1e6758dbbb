"""Several server processes on one port: their supervisor, and counts that they share for common limits."""
