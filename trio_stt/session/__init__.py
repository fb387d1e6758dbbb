"""One client's session: one nursery with its tasks, over connections that come and go. It knows no web framework."""
