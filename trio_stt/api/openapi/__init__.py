"""`/openapi.json`: the HTTP routes of this server, described for programs as OpenAPI 3.1."""
