"""A playbook of mails, pages and payments, for what becomes of planted text."""
