"""Sans-IO speech logic: samples and hypotheses in, events and text out. No trio, no clock, no I/O."""
