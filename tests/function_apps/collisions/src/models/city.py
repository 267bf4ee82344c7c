"""A module of a namespace package."""

NAME = "Oslo"
