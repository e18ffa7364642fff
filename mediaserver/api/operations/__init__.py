"""What each route of the API is for, takes and answers: the source of OpenAPI and docs/api.md."""
