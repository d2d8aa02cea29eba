"""A playbook whose tools and fallbacks each lie about one thing, and two that are honest over HTTP."""
