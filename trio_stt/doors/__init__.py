"""The doors: HTTP and WebSocket routes. They parse, validate and hand over; with the entry, only they know Quart."""
