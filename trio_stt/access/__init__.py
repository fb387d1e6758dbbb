"""Who may reach the server: hosts, origins, proxies, keys, rate limits, security headers."""
