"""Process-wide facilities: logging, garbage collection, event loop stalls, heap, systemd, installed packages."""
