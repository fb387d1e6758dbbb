"""The wire: what clients and the server say to each other. It knows no session, lane or socket."""
