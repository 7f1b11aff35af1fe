"""Mutation: every small mistake that could be made in a package of operators, made, and tried by the claims."""
