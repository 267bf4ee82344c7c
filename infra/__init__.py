"""The templates of the two regions, their checks, and the hooks of azd."""
