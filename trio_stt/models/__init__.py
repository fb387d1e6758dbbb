"""Models that can be fetched: what there is, how it is fetched, where it is kept. No engine is known here."""
