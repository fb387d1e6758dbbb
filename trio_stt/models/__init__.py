"""Models that can be downloaded: the catalogue, the download, the cache. No engine is known here."""
