"""Clients of the API in other programs, made of its OpenAPI description."""
