"""HTTP: parsing, authentication, problems, the OpenAPI document."""
