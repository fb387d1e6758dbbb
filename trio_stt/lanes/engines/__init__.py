"""One adapter for each speech recogniser, and the registry that names them."""
