"""Access control: hosts, origins, proxies, API keys, rate limits, security headers."""
