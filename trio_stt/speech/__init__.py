"""Sans-IO speech logic: samples and results in, events out. No trio, no clock, no I/O."""
