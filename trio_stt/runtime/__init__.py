"""What belongs to the process as a whole: logging, garbage collection, loop stalls, systemd, the heap, packages."""
