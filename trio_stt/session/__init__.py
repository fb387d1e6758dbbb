"""One session is one nursery: receive, listen, partials, finals, send. It knows no web framework."""
