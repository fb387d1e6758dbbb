"""HTTP and WebSocket routes; one sub-package for each WebSocket protocol."""
