"""HTTP: parsing, authentication, problems, responses, the OpenAPI document."""
