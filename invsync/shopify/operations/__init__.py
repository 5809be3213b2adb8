"""The GraphQL operations, one a file."""
