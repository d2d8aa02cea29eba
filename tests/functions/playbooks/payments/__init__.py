"""A playbook that pays invoices at a provider whose client fails in every way."""
