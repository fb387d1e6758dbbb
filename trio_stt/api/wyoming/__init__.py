"""Wyoming, Home Assistant's protocol for voice services, on a TCP port of its own. See docs/wyoming.md."""
