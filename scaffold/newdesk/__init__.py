"""The newdesk playbook: accounts of an IT desk. Replace it with your own business."""
