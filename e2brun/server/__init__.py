"""`e2brun serve`: E2B's wire protocol in front of embedded sandboxes."""
