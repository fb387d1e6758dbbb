"""The wire: typed commands, audio packets, events and reports, and their encoding. See docs/protocol.md."""
