"""Tells the operator's own servers what happened; docs/operator/webhooks.md."""
