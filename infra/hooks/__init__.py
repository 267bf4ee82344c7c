"""What azd runs before and after it provisions and deploys."""
