"""The itdesk playbook: an IT service desk that resets passwords and grants access to applications."""
