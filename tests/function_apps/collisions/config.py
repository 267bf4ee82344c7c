"""The app's own settings module."""

NAME = "the app's own"
